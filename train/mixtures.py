"""Mixtures of voices and noise of which it is known, frame by frame, who speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import webrtcvad
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import binary_closing
from torch import Tensor
from torch.utils.data import Dataset

from edge.errors import EarmarkError
from edge.front_end import SAMPLE_RATE
from edge.rttm import Turn
from train.augment import Augmenter, colour, from_db
from train.config import TrainConfig
from train.manifest import Utterance
from train.turn_taking import SEATS, excerpt, with_overlap
from train.waveforms import Waveforms, samples_of

Audio = NDArray[np.float32]
Marks = NDArray[np.bool_]
Span = tuple[int, int]  # frames of marks [first, last)

FRAME = 320  # samples of a mark
FIRST_RMS = 0.1  # of the first voice, before the whole is given a level
MIN_SECONDS = 1.5  # of utterances used: single words are hardly speech to a detector
QUIET_DB = 32.0  # frames so far below the utterance's loud ones are pauses
RUSTLE = 0.3  # share of backgrounds that are no recording
COLOUR_DB = 20.0  # deviation of the first of the cosines, over octaves, that colour it
LONGEST_HOLE = 25  # frames, half a second: a shorter pause is part of a turn, as in transcripts


@dataclass
class Mixture:
    """Log-mel frames (batch, time, mels), and what the activity outputs should say of each encoder
    frame (batch, time / stride, 3): 1 or 0."""

    fbank: Tensor
    truth: Tensor


class Mixtures(Dataset[Mixture]):
    """Random mixtures; mixture i depends on the seed and on i alone."""

    def __init__(
        self,
        config: TrainConfig,
        *,
        utterances: list[Utterance],
        indices: NDArray[np.int64],
        waveforms: Waveforms,
        noises: Waveforms,
        timings: list[list[Turn]],
        augmenter: Augmenter,
        stream: int = 1,
    ) -> None:
        """`indices[i]` is the place of utterance i in `waveforms`; `stream` numbers the chance.

        Raises:
            EarmarkError: there are words alone.
        """
        self._stream = stream
        self.config = config
        long = [u.seconds >= MIN_SECONDS for u in utterances]
        self._indices = indices[long]
        if not len(self._indices):
            raise EarmarkError(
                f"mixtures need utterances of {MIN_SECONDS:g} s or more, and there are none",
                "Name some in the lists, or set activity.steps to 0",
            )
        self._waveforms = waveforms
        self._noises = noises
        self._timings = timings
        self._augmenter = augmenter

    def __len__(self) -> int:
        return self.config.activity.steps

    def __getitem__(self, step: int) -> Mixture:
        config = self.config
        random = np.random.default_rng([config.seed, self._stream, step])
        frames = int(random.uniform(*config.activity.seconds) * 100)
        frames = frames // config.encoder.stride * config.encoder.stride
        pairs = [self._one(frames, random) for _ in range(config.activity.batch)]
        fbank, truth = (np.stack(parts) for parts in zip(*pairs, strict=True))
        return Mixture(torch.from_numpy(fbank), torch.from_numpy(truth))

    def _one(self, frames: int, random: Generator) -> tuple[Audio, NDArray[np.float32]]:
        config = self.config.activity
        count = samples_of(frames)
        audio = np.zeros(count, dtype=np.float32)
        heard = np.zeros(count // FRAME, dtype=np.int64)
        turns = self._turns(count // FRAME, random)
        for i, spans in enumerate(turns):
            voice, marks = self._voice(spans, count, random)
            level = random.uniform(*config.voice_db) if i else 0.0
            audio += voice * (FIRST_RMS * from_db(level))
            heard += marks
        if turns and random.random() < config.distant_probability:
            voice, _ = self._voice([_part(count // FRAME, random)], count, random)
            level = random.uniform(*config.distant_db)
            audio += voice * (FIRST_RMS * from_db(level))
        level = random.uniform(*config.background_db)
        audio += background(self._noises, count, random) * (FIRST_RMS * from_db(level))
        fbank = self._augmenter.frames(audio, random)
        shape = self.config.encoder
        later = shape.afterthought * shape.frames_per_record
        outputs = ((1, 0), (1, later), (2, later))
        truth = [self._delayed(heard >= voices, frames, by) for voices, by in outputs]
        return fbank, np.stack(truth, axis=1).astype(np.float32)

    def _turns(self, count: int, random: Generator) -> list[list[Span]]:
        """When each voice of a mixture of `count` frames has its turns."""
        config = self.config.activity
        if random.random() < config.nobody_probability:
            return []
        if random.random() < config.talk_probability:
            seconds, seats = count * FRAME / SAMPLE_RATE, int(random.integers(2, SEATS + 1))
            talk = with_overlap(excerpt(self._timings, seats, seconds, random), random)
            return list(turn_spans(talk, count).values())
        voices = 2 if random.random() < config.two_voices_probability else 1
        parts = [(0, count)] * voices
        for i in range(voices):
            if random.random() < config.part_probability:
                parts[i] = _part(count, random)
        return [[part] for part in parts]

    def _delayed(self, truth: Marks, frames: int, later: int) -> Marks:
        """Truth of each encoder frame, which tells of what was `later` fbank frames, and the
        look-ahead, before its input. Before its first, nobody is heard.
        """
        shape = self.config.encoder
        told = (np.arange(frames // shape.stride) + 0.5) * shape.stride
        marks = np.floor((told - shape.look_ahead - later) * 160 / FRAME).astype(np.int64)
        delayed: Marks = np.where(marks >= 0, truth[np.maximum(marks, 0)], False)
        return delayed

    def _voice(self, spans: list[Span], count: int, random: Generator) -> tuple[Audio, Marks]:
        """A voice of unit level that has these turns, and where it speaks."""
        source = self._waveforms[int(random.choice(self._indices))]
        audio, marks = take_turns(source, spans, count, random)
        if random.random() < self.config.activity.room_probability:
            audio = self._augmenter.in_room(audio, random)
        return at_unit_level(audio, marks), marks


def turn_spans(talk: Sequence[Turn], count: int) -> dict[str, list[Span]]:
    """Frames, of `count`, of the turns of each speaker of a talk."""
    spans: dict[str, list[Span]] = {}
    for turn in talk:
        start, end = (round(t * SAMPLE_RATE / FRAME) for t in (turn.start, turn.end))
        spans.setdefault(turn.speaker, []).append((start, min(end, count)))
    return spans


def take_turns(
    source: Audio, spans: Sequence[Span], count: int, random: Generator
) -> tuple[Audio, Marks]:
    """`count` samples in which a clean voice goes on, from anywhere in `source` and round and
    round, whenever it has a turn; and the frames in which it speaks.
    """
    speech = speech_marks(source)
    source = source[: len(speech) * FRAME].reshape(-1, FRAME)
    audio = np.zeros(count, dtype=np.float32)
    marks = np.zeros(count // FRAME, dtype=bool)
    next_frame = int(random.integers(len(speech)))
    for start, end in spans:
        frames = (next_frame + np.arange(end - start)) % len(speech)
        next_frame += end - start
        audio[start * FRAME : end * FRAME] = source[frames].ravel()
        marks[start:end] = speech[frames]
    return audio, marks


def at_unit_level(audio: Audio, marks: Marks) -> Audio:
    """The samples at unit RMS of the frames that are marked."""
    power = np.mean(audio**2) * len(marks) / max(1, marks.sum())
    unit: Audio = audio / np.float32(np.sqrt(power + 1e-8))
    return unit


def background(noises: Waveforms, count: int, random: Generator) -> Audio:
    """Noise of unit level: a recording, or what paper, chairs, breath and microphones make."""
    if random.random() < RUSTLE:
        noise = rustle(count, random)
    else:
        noise = noises.random_crop(int(random.integers(len(noises))), count, random)
    unit: Audio = noise / np.sqrt(np.mean(noise**2) + np.float32(1e-8))
    return unit


def _part(count: int, random: Generator) -> Span:
    """Any part of `count` frames."""
    first, last = np.sort(random.integers(count + 1, size=2)).tolist()
    return first, last


def rustle(count: int, random: Generator) -> Audio:
    """Noise of a random colour; in half of the draws, in bursts of 10 ms to a second."""
    spectrum = np.fft.rfft(random.standard_normal(count))
    octaves = np.log2(1.0 + np.arange(len(spectrum))) / np.log2(len(spectrum))
    decibels = colour(np.pi * octaves, COLOUR_DB, random)
    noise = np.fft.irfft(spectrum * 10.0 ** (decibels / 20.0), count)
    if random.random() < 0.5:
        envelope = np.zeros(count)
        for start in random.integers(count, size=1 + random.poisson(2 * count / SAMPLE_RATE)):
            decay = SAMPLE_RATE * 10.0 ** random.uniform(-2.0, 0.0)
            gain = 10.0 ** random.uniform(-1.0, 0.0)
            envelope[start:] += gain * np.exp(-np.arange(count - start) / decay)
        noise *= envelope
    return noise.astype(np.float32)


def speech_marks(audio: Audio) -> Marks:
    """Where a clean recording of one voice has speech, in 20 ms frames.

    Both WebRTC's detector and the level must find it; short holes are closed.
    """
    count = len(audio) // FRAME
    level = np.sqrt(np.mean(audio[: count * FRAME].reshape(count, FRAME) ** 2, axis=1))
    loud = level > np.quantile(level, 0.95) * 10.0 ** (-QUIET_DB / 20.0)
    scaled = audio * np.float32(0.1 / max(float(np.sqrt(np.mean(audio**2))), 1e-5))
    pcm = (np.clip(scaled, -1.0, 1.0) * 32767).astype(np.int16)
    detector = webrtcvad.Vad(2)
    frames = pcm[: count * FRAME].reshape(count, FRAME)
    marks = loud & [detector.is_speech(frame.tobytes(), SAMPLE_RATE) for frame in frames]
    closed: Marks = binary_closing(np.pad(marks, LONGEST_HOLE), np.ones(LONGEST_HOLE))
    return closed[LONGEST_HOLE : LONGEST_HOLE + count]
