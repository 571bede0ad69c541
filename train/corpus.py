"""Everything a run reads, opened: utterances, waveforms, teacher targets, noises and rooms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import EarmarkError
from train.config import TrainConfig
from train.manifest import Utterance, check_disjoint, read_manifest, split_speakers
from train.teacher import fuse_teachers
from train.waveforms import Waveforms

HELD_OUT_SHOWN = ("common_voice", "speechocean762")  # whole sentences, many speakers


@dataclass
class Corpus:
    """Row i of `waveforms` and `targets` belongs to row i of the lists joined in order."""

    waveforms: Waveforms
    targets: NDArray[np.float32]
    noises: Waveforms
    rooms: Waveforms
    train: list[Utterance]
    train_indices: NDArray[np.int64]
    held_out: list[Utterance]
    held_out_indices: NDArray[np.int64]

    @classmethod
    def open(cls, folder: Path, cache: Path, config: TrainConfig) -> Corpus:
        """Read the manifests and decode the audio into `cache` on first use."""
        data = config.data
        utterances = [u for name in data.lists for u in read_manifest(folder / f"{name}.csv")]
        index = {u.path: i for i, u in enumerate(utterances)}
        train, held_out = split_speakers(utterances)
        if (folder / "dev.csv").is_file():
            check_disjoint(train + held_out, read_manifest(folder / "dev.csv"))
        targets = fuse_teachers(
            folder / "teachers", data.teachers, data.lists, config.encoder.embedding
        )
        if len(targets) != len(utterances):
            raise EarmarkError(
                f"{len(targets)} teacher embeddings for {len(utterances)} utterances",
                "Each manifest needs one row of teacher embeddings an utterance",
            )
        train = [u for u in train if np.isfinite(targets[index[u.path]]).all()]
        return cls(
            waveforms=Waveforms.load([u.path for u in utterances], cache),
            targets=targets,
            noises=_folder(folder / "noise", cache),
            rooms=_folder(folder / "rir", cache),
            train=train,
            train_indices=np.array([index[u.path] for u in train]),
            held_out=held_out,
            held_out_indices=np.array([index[u.path] for u in held_out]),
        )

    def held_out_trials(self) -> tuple[list[NDArray[np.float32]], list[str]]:
        """Audio and speakers of the held-out utterances that training watches."""
        chosen = [
            (int(i), u)
            for i, u in zip(self.held_out_indices, self.held_out, strict=True)
            if u.corpus in HELD_OUT_SHOWN
        ]
        return [self.waveforms[i] for i, _ in chosen], [u.speaker for _, u in chosen]


def _folder(folder: Path, cache: Path) -> Waveforms:
    paths = sorted(p for p in folder.glob("*") if p.suffix in {".opus", ".flac", ".wav", ".ogg"})
    if not paths:
        raise EarmarkError(f"no audio in {folder}", "Check --corpus")
    return Waveforms.load(paths, cache)
