"""Simulated meetings: real single-speaker speech in real turn-taking, in one room, over one line.

Each voice was recorded at one sitting, as far as that is known.
The voices come from a list of the caller's: the speakers held out from the training side to tune
diarization, the development split to report it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from edge.errors import EarmarkError
from edge.front_end import SAMPLE_RATE
from edge.rttm import Turn
from edge.sources.file import recordings_in
from train.augment import from_db, rms
from train.cast import casting_chances, of_one_sitting, voices_by_corpus
from train.manifest import Utterance
from train.rooms import seat_responses
from train.turn_taking import read_timings, turn_taking, with_overlap
from train.waveforms import read_audio

LEAST_SPEECH = 8.0  # seconds of a voice that may take part
BLOCK = 60 * SAMPLE_RATE
PHRASE = 3 * SAMPLE_RATE // 2
FADE = SAMPLE_RATE // 100  # at both ends of a turn, which may be in mid-word
RING = SAMPLE_RATE  # longest response of a room
LEVEL_DB = (-30.0, -20.0)  # RMS of a voice at the microphone, relative to full scale
NOISE_DB = (-60.0, -38.0)
HISS = 3e-4  # RMS of the microphone's own noise
TELEPHONE = 1 / 3  # share of meetings over a line of 8 kHz

Audio = NDArray[np.float32]


@dataclass(frozen=True)
class Meeting:
    """Who speaks when, and how it sounds. `turns` name voices as the list of utterances does."""

    seconds: float
    turns: list[Turn]
    corpus: Path
    collection: str  # the one of the corpora in that folder whose voices these are
    cast: dict[str, list[Path]]  # recordings of each voice
    seed: int

    def blocks(self) -> Iterator[Audio]:
        """The samples at 16 kHz in [-1, 1], a minute at a time; the same at every call."""
        random, hiss = (np.random.default_rng([self.seed, len(self.cast), i]) for i in (1, 2))
        narrow = random.random() < TELEPHONE
        responses = seat_responses(len(self.cast), int(random.integers(2**31)))
        voices = {
            name: _Voice(paths, _unit_energy(_over_line(response, narrow)), random)
            for (name, paths), response in zip(self.cast.items(), responses, strict=True)
        }
        noise = _over_line(_noise(self.corpus / "noise", random), narrow)
        total = round(self.seconds * SAMPLE_RATE)
        over = np.zeros(0, dtype=np.float32)  # what was begun and reaches into the next block
        for begin in range(0, total, BLOCK):
            count = min(BLOCK, total - begin)
            audio = np.pad(over, (0, count))
            for turn in self.turns:
                start, end = round(turn.start * SAMPLE_RATE), round(turn.end * SAMPLE_RATE)
                if begin <= start < begin + count:
                    heard = voices[turn.speaker].say(end - start)
                    audio = np.pad(audio, (0, max(0, start - begin + len(heard) - len(audio))))
                    audio[start - begin :][: len(heard)] += heard
            over = audio[count:]
            audio = audio[:count] + np.take(noise, np.arange(begin, begin + count), mode="wrap")
            audio += HISS * hiss.standard_normal(count, dtype=np.float32)
            yield np.clip(audio, -1.0, 1.0)


def simulate_meeting(
    utterances: Sequence[Utterance],
    corpus: Path,
    speakers: int,
    seconds: float,
    seed: int,
    *,
    overlap: bool = False,
) -> Meeting:
    """A meeting of so many voices, all of one corpus, so that no microphone tells them apart.

    With `overlap` they interrupt and answer each other; without, one speaks at a time.
    Where the meeting is short, some may not get to speak: `turns` tell.

    Raises:
        EarmarkError: no corpus has as many speakers, or there are no timings.
    """
    random = np.random.default_rng([seed, speakers, 0])
    collection, cast = _cast(utterances, speakers, random)
    names = list(cast)
    timings = read_timings(corpus / "turns" / "ami")
    turns = [
        Turn(turn.start, turn.end, names[int(turn.speaker)])
        for turn in turn_taking(timings, speakers, seconds, random)
    ]
    if overlap:
        turns = with_overlap(turns, random)
    return Meeting(seconds, turns, corpus, collection, cast, seed)


class _Voice:
    """A voice at its seat, as the microphone hears it.

    It has more to say than was recorded. Phrases come in another order each time, since nobody
    recites: each part of a sentence that is said ten times would look like a voice of its own, with
    ten times the evidence.
    """

    def __init__(self, paths: Sequence[Path], response: Audio, random: Generator) -> None:
        self._phrases = [
            phrase for path in paths for phrase in phrases(without_pauses(read_audio(path)))
        ]
        self._gain = from_db(random.uniform(*LEVEL_DB))
        self._response = response
        self._random = random
        self._queue: list[int] = []
        self._rest = np.zeros(0, dtype=np.float32)

    def say(self, count: int) -> Audio:
        """The next `count` samples of speech, and how they ring; none again before all are used."""
        while len(self._rest) < count:
            if not self._queue:
                self._queue = self._random.permutation(len(self._phrases)).tolist()
            self._rest = np.concatenate([self._rest, self._phrases[self._queue.pop()]])
        speech, self._rest = self._rest[:count] * self._gain, self._rest[count:]
        fade = np.linspace(0.0, 1.0, min(FADE, count), dtype=np.float32)
        speech[: len(fade)] *= fade
        speech[count - len(fade) :] *= fade[::-1]
        heard: Audio = fftconvolve(speech, self._response)
        return heard


def _cast(
    utterances: Sequence[Utterance], speakers: int, random: Generator
) -> tuple[str, dict[str, list[Path]]]:
    """So many voices of a random corpus that has them, its name, and the recordings of each."""
    sitting = of_one_sitting(utterances)
    corpora = voices_by_corpus(sitting, LEAST_SPEECH)
    large = {corpus: voices for corpus, voices in corpora.items() if len(voices) >= speakers}
    if not large:
        raise EarmarkError(
            f"a meeting of {speakers} needs as many speakers of one corpus with {LEAST_SPEECH:g} s "
            "of speech each, and there is no such corpus",
            "Ask for fewer speakers",
        )
    chances = casting_chances(list(large.values()))
    corpus = list(large)[int(random.choice(len(large), p=chances))]
    voices = large[corpus]
    names = random.choice(sorted(voices), size=speakers, replace=False)
    return corpus, {str(name): [sitting[i].path for i in voices[str(name)]] for name in names}


def without_pauses(audio: Audio) -> Audio:
    """The tenths of a second that are within 25 dB of the loudest, and their neighbours.

    At unit RMS.
    """
    tenths = audio[: len(audio) // 1600 * 1600].reshape(-1, 1600)
    level = np.sqrt(np.mean(tenths**2, axis=1))
    loud = level >= level.max() * from_db(-25.0)
    near = np.convolve(loud, np.ones(3), mode="same") > 0.5
    speech: Audio = tenths[near].ravel()
    return speech / rms(speech)


def phrases(speech: Audio) -> list[Audio]:
    """Speech cut into parts of about `PHRASE` samples, where it is quietest nearby."""
    count = round(len(speech) / PHRASE)
    cuts = []
    for place in range(1, count):
        begin = place * len(speech) // count - PHRASE // 4
        steps = speech[begin : begin + PHRASE // 2].reshape(-1, FADE)
        cuts.append(begin + FADE * int(np.argmin(np.sum(steps**2, axis=1))) + FADE // 2)
    return np.split(speech, cuts)


def _over_line(audio: Audio, narrow: bool) -> Audio:
    """Without what a telephone would not carry. Linear: voices and noise may take it one by one."""
    if not narrow:
        return audio
    carried: Audio = soxr.resample(soxr.resample(audio, SAMPLE_RATE, 8000), 8000, SAMPLE_RATE)
    return carried


def _unit_energy(response: Audio) -> Audio:
    """From the direct sound on, a second at most."""
    kept = response[int(np.argmax(np.abs(response))) :][:RING]
    return kept / np.float32(np.sqrt(np.sum(kept**2)))


def _noise(folder: Path, random: Generator) -> Audio:
    """A random recording of noise at a random level."""
    paths = recordings_in(folder)
    if not paths:
        raise EarmarkError(f"no audio in {folder}", "Check --corpus")
    noise = read_audio(paths[int(random.integers(len(paths)))])
    return noise * (from_db(random.uniform(*NOISE_DB)) / rms(noise))
