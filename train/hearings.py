"""Statistics of all training utterances, each heard several times: crops that cost no network.

Statistics are additive. Once the trunk has heard a recording, every stretch of it is a crop whose
statistics are a sum, and the head, which reads nothing else, can be trained on millions of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor
from torch.utils.data import Dataset

from edge.errors import EarmarkError
from edge.front_end import SAMPLE_RATE
from edge.whole_file import replacing
from train.batches import sampling_probability, speaker_numbers
from train.config import TrainConfig
from train.corpus import Corpus
from train.encoder import Encoder, FramesGraph
from train.loader import in_order
from train.voices import draw_voice
from train.waveforms import samples_of

RECORDS = 3  # of a span: crops begin and end where spans do
PART = 4096  # utterances summed up at once
Sums = NDArray[np.float32]
Numbers = NDArray[np.int64]


class Heard(NamedTuple):
    """All training utterances, heard once."""

    sums: Sums  # statistics of their spans, one utterance after the other (spans, size)
    ends: Numbers  # of each utterance's spans (utterances,)
    labels: Numbers  # speakers (utterances,); -1 unknown


class Utterances(Dataset[tuple[Tensor, int]]):
    """Item i: log-mel frames (1, time, mels) of utterance i, augmented, and its speaker's number.

    Each change of speed makes a new speaker of every speaker, as in `Batches`.
    """

    def __init__(self, config: TrainConfig, corpus: Corpus, hearing: int) -> None:
        self._config = config
        self._corpus = corpus
        self._hearing = hearing
        self._augmenter = corpus.augmenter(config.augment)
        # A voice whose pitch was moved by just any amount has no label.
        self._voices = replace(config.augment.voices, shift_probability=0.0)
        self._labels, self._speakers = speaker_numbers(corpus.train)

    def __len__(self) -> int:
        return len(self._corpus.train)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        random = np.random.default_rng([self._config.seed, self._hearing, i])
        index, waveforms = int(self._corpus.train_indices[i]), self._corpus.waveforms
        frames = RECORDS * self._config.encoder.frames_per_record
        most = round(self._config.head.longest_seconds * SAMPLE_RATE)
        count = max(samples_of(frames), min(waveforms.length(index), most))
        label, voice = int(self._labels[i]), draw_voice(self._voices, random, 1.0)
        if voice is None:
            audio = waveforms.random_crop(index, count, random)
        else:
            audio = voice.random_crop(waveforms, index, count, random)
            label = voice.label(label, self._speakers)
        fbank = self._augmenter.frames(audio, random)
        return torch.from_numpy(fbank[None, : len(fbank) // frames * frames]), label


class Hearings:
    """What the trunk made of each utterance, each of several times that it was heard."""

    def __init__(self, config: TrainConfig, corpus: Corpus, heard: list[Heard]) -> None:
        self._shortest, self._longest = config.head.crop_seconds
        self._span = RECORDS * config.encoder.frames_per_record / 100.0  # seconds
        self._heard = heard
        labels = np.concatenate([hearing.labels for hearing in heard])
        chances = np.tile(sampling_probability(corpus.train), len(heard)) * (labels >= 0)
        self._chances = np.cumsum(chances) / chances.sum()

    @property
    def speakers(self) -> int:
        """How many speakers, numbered from 0, are labelled at most."""
        return 1 + max(int(hearing.labels.max()) for hearing in self._heard)

    @classmethod
    def open(
        cls, encoder: Encoder, config: TrainConfig, corpus: Corpus, folder: Path, workers: int
    ) -> Hearings:
        """Hear everything as often as the settings say, but for what `folder` holds already.

        Raises:
            EarmarkError: no utterance has a speaker; nothing is heard then.
        """
        check_labels(corpus)
        folder.mkdir(parents=True, exist_ok=True)
        count = config.head.hearings
        heard = []
        for number in range(count):
            path = folder / f"{number}.f32"
            if not path.is_file():
                what = f"hearing all recordings, {number + 1} of {count}"
                utterances = Utterances(config, corpus, number)
                _hear(encoder, utterances, path, what, workers)
            heard.append(_read(path))
        return cls(config, corpus, heard)

    def whole(self) -> Iterator[tuple[Sums, Numbers]]:
        """Statistics (utterances, size) of all utterances, as long as they are, and labels; a
        part at a time.
        """
        for hearing in self._heard:
            parts = -(-len(hearing.ends) // PART)
            start = 0
            for ends, labels in zip(
                np.array_split(hearing.ends, parts),
                np.array_split(hearing.labels, parts),
                strict=True,
            ):
                spans = hearing.sums[start : ends[-1]]
                yield np.add.reduceat(spans, np.concatenate([[0], ends[:-1] - start])), labels
                start = ends[-1]

    def crops(self, count: int, random: Generator) -> tuple[Sums, Numbers]:
        """Statistics (count, size) of random crops of random utterances, and their labels."""
        chosen = np.searchsorted(self._chances, random.random(count), side="right")
        logs = random.uniform(np.log(self._shortest), np.log(self._longest), count)
        sums, labels = [], []
        for utterance, seconds, place in zip(
            chosen, np.exp(logs), random.random(count), strict=True
        ):
            number, i = divmod(int(utterance), len(self._heard[0].ends))
            hearing = self._heard[number]
            start, end = int(hearing.ends[i - 1]) if i else 0, int(hearing.ends[i])
            spans = min(max(1, round(seconds / self._span)), end - start)
            start += int(place * (end - start - spans + 1))
            sums.append(hearing.sums[start : start + spans].sum(axis=0))
            labels.append(hearing.labels[i])
        return np.stack(sums), np.array(labels)


def check_labels(corpus: Corpus) -> None:
    """See that there are speakers to tell apart.

    Raises:
        EarmarkError: no training utterance has one.
    """
    if not any(utterance.speaker for utterance in corpus.train):
        raise EarmarkError(
            "head.steps needs speakers to tell apart, and no training utterance has a label",
            "Name the speakers in the lists, or set head.steps to 0",
        )


def _hear(encoder: Encoder, utterances: Utterances, path: Path, what: str, workers: int) -> None:
    """Write what the trunk makes of all utterances: sums at `path`, ends and labels beside it."""
    frames, device = FramesGraph(encoder.eval()), encoder.input_mean.device
    loader = in_order(utterances, workers, ahead=16)
    counts, labels = [], []
    with replacing(path) as partial:
        with partial.open("wb") as output, torch.inference_mode():
            for fbank, label in track(loader, what):
                records, _ = frames(fbank.to(device), encoder.initial_state(1))
                spans = records[0].unflatten(0, (-1, RECORDS)).sum(dim=1)
                output.write(spans.float().cpu().numpy().tobytes())
                counts.append(len(spans))
                labels.append(label)
        np.save(_index(path), np.stack([np.cumsum(counts), labels]))


def _read(path: Path) -> Heard:
    ends, labels = np.load(_index(path))
    sums = np.memmap(path, dtype=np.float32, mode="r").reshape(ends[-1], -1)
    return Heard(sums, ends, labels)


def _index(path: Path) -> Path:
    return path.with_suffix(".npy")
