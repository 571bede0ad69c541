"""Short talks of several voices of which it is known, record by record, who speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import soxr
import torch
from numpy.random import Generator
from torch import Tensor
from torch.utils.data import Dataset

from edge.errors import EarmarkError
from edge.front_end import SAMPLE_RATE
from edge.rttm import Turn
from train.augment import from_db
from train.cast import casting_chances, voices_by_corpus
from train.config import TrainConfig
from train.corpus import Corpus
from train.mixtures import (
    FIRST_RMS,
    FRAME,
    Audio,
    Marks,
    Span,
    at_unit_level,
    background,
    take_turns,
    turn_spans,
)
from train.simulate import without_pauses
from train.turn_taking import SEATS, excerpt, with_overlap
from train.waveforms import samples_of

LEAST_SPEECH = 5.0  # seconds of a voice that may take part
DRAWS = 4  # of timings at most: of them the one is taken in which most voices have most turns
ALONE = 0.1  # share of talks in which one voice speaks
CHANGED = 0.5  # share of voices that are played faster or slower
SPEEDS = (0.85, 0.92, 1.08, 1.15)
LEVEL_DB = (-7.0, 7.0)  # of a voice
ROOM = 0.6  # share of talks in rooms


class Talk(NamedTuple):
    """Log-mel frames (1, time, mels), and who speaks in each record (records, SEATS)."""

    fbank: Tensor
    speakers: Tensor


class Talks(Dataset[Talk]):
    """Random talks of voices of one corpus each, so that no microphone tells them apart.

    Talk i depends on the seed and on i alone.
    """

    def __init__(self, config: TrainConfig, corpus: Corpus, count: int, *, held_out: bool) -> None:
        """`held_out`: of the voices held out from the training side instead of the others'."""
        self._config = config
        self._corpus = corpus
        self._count = count
        self._stream = 3 if held_out else 2
        utterances = corpus.held_out if held_out else corpus.train
        self._indices = corpus.held_out_indices if held_out else corpus.train_indices
        corpora = voices_by_corpus(utterances, LEAST_SPEECH).values()
        self._casts = [voices for voices in corpora if len(voices) >= SEATS]
        if not self._casts:
            raise EarmarkError(
                f"talks need {SEATS} speakers of one corpus with {LEAST_SPEECH:g} s of speech "
                "each, and there is no such corpus",
                "Name more speakers in the lists, or set segmenter.steps to 0",
            )
        self._chances = casting_chances(self._casts)
        augment = replace(config.augment, babble_snr_db=config.activity.babble_snr_db)
        self._augmenter = corpus.augmenter(augment)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, i: int) -> Talk:
        shape, settings = self._config.encoder, self._config.segmenter
        random = np.random.default_rng([self._config.seed, self._stream, i])
        records = round(settings.seconds * 100 / shape.frames_per_record)
        frames = records * shape.frames_per_record
        count = samples_of(frames)
        audio, marks = self._mixed(count, random)
        level = random.uniform(*self._config.activity.background_db)
        audio += background(self._corpus.noises, count, random) * (FIRST_RMS * from_db(level))
        fbank = self._augmenter.frames(audio, random)
        first = np.arange(records) * shape.frames_per_record - shape.look_ahead  # fbank frames
        told = [first + frame for frame in range(0, shape.frames_per_record, 2)]
        heard = np.stack([_at(marks, frames) for frames in told]).mean(axis=0) >= 0.5
        return Talk(torch.from_numpy(fbank[None]), torch.from_numpy(heard))

    def _mixed(self, count: int, random: Generator) -> tuple[Audio, Marks]:
        """The voices of a talk, `count` samples, and when each speaks (frames, SEATS)."""
        cast = self._casts[int(random.choice(len(self._casts), p=self._chances))]
        names = random.choice(sorted(cast), size=SEATS, replace=False)
        spans = turn_spans(self._talk(count / SAMPLE_RATE, random), count // FRAME)
        in_room = random.random() < ROOM
        audio = np.zeros(count, dtype=np.float32)
        marks = np.zeros((count // FRAME, SEATS), dtype=bool)
        for seat, (name, own) in enumerate(zip(names, spans.values(), strict=False)):
            voice, marks[:, seat] = self._voice(cast[str(name)], own, count, random)
            if in_room:
                voice = self._augmenter.in_room(voice, random)
            level = FIRST_RMS * from_db(random.uniform(*LEVEL_DB))
            audio += at_unit_level(voice, marks[:, seat]) * level
        return audio, marks

    def _talk(self, seconds: float, random: Generator) -> list[Turn]:
        seats = 1 if random.random() < ALONE else int(random.integers(2, SEATS + 1))
        draws = [
            excerpt(self._corpus.timings, seats, seconds, random)
            for _ in range(int(random.integers(1, DRAWS + 1)))
        ]
        return with_overlap(max(draws, key=_liveliness), random)

    def _voice(
        self, utterances: Sequence[int], spans: Sequence[Span], count: int, random: Generator
    ) -> tuple[Audio, Marks]:
        """What somebody says who said these utterances, place by place in the list of all."""
        needed = sum(end - start for start, end in spans) * FRAME
        speed = random.choice(SPEEDS) if random.random() < CHANGED else 1.0
        said: list[Audio] = []
        for i in random.permutation(list(utterances)):
            audio = self._corpus.waveforms[int(self._indices[i])]
            if speed != 1.0:
                audio = soxr.resample(audio, SAMPLE_RATE * speed, SAMPLE_RATE, quality="LQ")
            said.append(without_pauses(audio))
            if sum(map(len, said)) > needed:
                break
        return take_turns(np.concatenate(said), spans, count, random)


def _liveliness(talk: Sequence[Turn]) -> tuple[int, int]:
    return len({turn.speaker for turn in talk}), len(talk)


def _at(marks: Marks, frames: np.ndarray) -> Marks:
    """Marks (frames, SEATS) at fbank frames; nobody is heard before the first."""
    place = frames * 160 // FRAME
    inside = (place >= 0) & (place < len(marks))
    found: Marks = marks[np.clip(place, 0, len(marks) - 1)] & inside[:, None]
    return found
