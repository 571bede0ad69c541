"""Everything a run reads, opened: utterances, waveforms, teacher targets, noises and rooms."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.errors import EarmarkError
from edge.front_end import SAMPLE_RATE
from edge.rttm import Turn
from edge.sources.file import recordings_in
from train.augment import AugmentConfig, Augmenter
from train.config import DataConfig, TrainConfig
from train.kept_voices import KeptVoices
from train.lists import find_list, read_list
from train.manifest import Utterance, check_disjoint, is_held_out, split_speakers
from train.rooms import simulate_rooms
from train.teacher import OnlineTarget, OnnxTeacher, check_rows, fuse_teachers, teacher_rows
from train.turn_taking import read_timings
from train.waveforms import Waveforms

HELD_OUT_SECONDS = 2.5  # the least of a held-out utterance that is used: sentences, not words
UNHEARD_SHARE = 0.06  # of the training side's speakers: no stage of any weights heard them
LENGTH_TOLERANCE = 0.1  # seconds by which a list may be mistaken in a length
HELD_OUT_SAMPLES = 60 * SAMPLE_RATE  # of a recording at most: all of them are in memory at once
HELD_OUT_RECORDINGS = 8  # of a speaker in all pairs: a few who said much would be most of them

# Audio, speakers and corpora of recordings.
Speech = tuple[list[NDArray[np.float32]], list[str], list[str]]


@dataclass
class Corpus:
    """Row i of `waveforms` and `targets` belongs to row i of the lists joined in order."""

    waveforms: Waveforms
    targets: NDArray[np.float32]
    online: OnlineTarget | None
    kept: KeptVoices | None
    noises: Waveforms
    measured_rooms: Waveforms
    simulated_rooms: Callable[[], Waveforms]
    timings: list[list[Turn]]
    train: list[Utterance]
    train_indices: NDArray[np.int64]
    held_out: list[Utterance]
    held_out_indices: NDArray[np.int64]

    @classmethod
    def open(cls, folder: Path, cache: Path, config: TrainConfig) -> Corpus:
        """Read the lists and decode the audio into `cache` on first use.

        Raises:
            EarmarkError: a list, a teacher, or noises or rooms that a setting asks for are missing
                or wrong, a speaker stands in both splits, or nothing is left to train on.
        """
        data = config.data
        lists = [read_list(folder, name) for name in data.lists]
        utterances = [u for own in lists for u in own]
        if not utterances:
            raise EarmarkError(f"the lists {', '.join(data.lists)} are empty", "Check --corpus")
        index = {u.path: i for i, u in enumerate(utterances)}
        if len(index) < len(utterances):
            twice = next(u.path for i, u in enumerate(utterances) if index[u.path] != i)
            raise EarmarkError(
                f"{twice} is listed twice in {', '.join(data.lists)}",
                "List each recording once: one of a speaker held out would be trained on",
            )
        train, held_out = split_speakers(utterances)
        dev = find_list(folder, "dev")
        if dev is not None:
            check_disjoint(train + held_out, dev)
            shared = {u.path for u in dev} & set(index)
            if shared:
                raise EarmarkError(
                    f"{min(shared)} stands in dev and in {', '.join(data.lists)}",
                    "Take it out of the lists: what is reported on is not trained on",
                )
        counts = dict(zip(data.lists, map(len, lists), strict=True))
        size = config.encoder.embedding
        targets = np.full((len(utterances), size), np.nan, dtype=np.float32)
        if data.teachers:
            targets = fuse_teachers(
                folder / "teachers",
                data.teachers,
                counts,
                size,
                whitened=data.whitened_targets,
            )
        waveforms = Waveforms.load([u.path for u in utterances], cache)
        train, held_out = (
            [_as_decoded(u, waveforms.length(index[u.path])) for u in split]
            for split in (train, held_out)
        )
        readable = [u for u in train if waveforms.length(index[u.path])]
        taught = np.isfinite(targets[:, 0])
        nameless = config.loss.contrastive > 0.0  # are told apart from each other
        train = [u for u in readable if u.speaker or taught[index[u.path]] or nameless]
        if left := len(readable) - len(train):
            print(f"{left} utterances without speaker and teacher are left out", file=sys.stderr)
        held_out = [u for u in held_out if waveforms.length(index[u.path])]
        online = _online_target(folder / "teachers", data, counts, targets, waveforms)
        if config.augment.voices.shift_probability and online is None:
            raise EarmarkError(
                "augment.voices.shift_probability needs teachers that are run on shifted voices",
                "Name their ONNX graphs in data.online_teachers",
            )
        kept = _kept_voices(folder / "teachers", cache, config, waveforms, online)
        if held_out and not readable:
            raise EarmarkError(
                f"nothing to train on in {folder}: the speakers of all {len(held_out)} utterances "
                "that can be read are held out, as 15 % are, by their names",
                "Name more speakers",
            )
        if not train:
            what = "none of its utterances can be read and has a speaker or a teacher's embedding"
            raise EarmarkError(f"nothing to train on in {folder}: {what}", "Check the lists")
        return cls(
            waveforms=waveforms,
            targets=targets,
            online=online,
            kept=kept,
            noises=_recordings(folder / "noise", cache, _noise_settings(config)),
            measured_rooms=_recordings(folder / "rir", cache, _room_settings(config)),
            simulated_rooms=partial(simulate_rooms, config.augment.rooms, cache),
            timings=_timings(folder / "turns" / "ami", config),
            train=train,
            train_indices=np.array([index[u.path] for u in train]),
            held_out=held_out,
            held_out_indices=np.array([index[u.path] for u in held_out], dtype=np.int64),
        )

    @cached_property
    def rooms(self) -> Waveforms:
        """Responses, measured and simulated; built when first asked for."""
        return Waveforms.joined(self.measured_rooms, self.simulated_rooms())

    def augmenter(self, config: AugmentConfig) -> Augmenter:
        """Augmentation with this corpus's noises, rooms and voices, those held out left out."""
        return Augmenter(config, self.noises, self.rooms, self.waveforms, self.train_indices)

    def fingerprint(self) -> str:
        """What tells the utterances, their speakers and their order from others, in any folder."""
        pairs = [*zip(self.train_indices, self.train, strict=True)]
        pairs += zip(self.held_out_indices, self.held_out, strict=True)
        rows = [f"{i} {u.path.name} {u.speaker} {u.seconds}" for i, u in pairs]
        return sha256("\n".join(rows).encode()).hexdigest()

    @property
    def unheard_speakers(self) -> set[str]:
        """Those held out whom no stage of any weights has heard.

        The share of the speakers held out was `UNHEARD_SHARE` once; the first stages of the shipped
        weights have heard the others, and know them too well on another day.
        """
        return {u.speaker for u in self.held_out if is_held_out(u.speaker, UNHEARD_SHARE)}

    def held_out_speech(self, most: int | None = None) -> Speech:
        """What those held out said, `most` recordings of each, and the beginning of a long one."""
        counts = Counter[str]()
        chosen = []
        for i, u in zip(self.held_out_indices, self.held_out, strict=True):
            if u.seconds >= HELD_OUT_SECONDS and (most is None or counts[u.speaker] < most):
                counts[u.speaker] += 1
                chosen.append((int(i), u))
        lengths = [min(self.waveforms.length(i), HELD_OUT_SAMPLES) for i, _ in chosen]
        audios = [
            self.waveforms.crop(i, 0, length)
            for (i, _), length in zip(chosen, lengths, strict=True)
        ]
        return audios, [u.speaker for _, u in chosen], [u.corpus for _, u in chosen]

    def held_out_trials(self) -> tuple[list[NDArray[np.float32]], list[str]]:
        """Audio and speakers of those of whose pairs an EER is told."""
        self.check_judges()
        audios, speakers, _ = self.held_out_speech(HELD_OUT_RECORDINGS)
        return audios, speakers

    def check_judges(self) -> None:
        """See that speakers are held out by whom an encoder can be judged.

        Raises:
            EarmarkError: no two of them, or nobody with two recordings.
        """
        counts = Counter(u.speaker for u in self.held_out if u.seconds >= HELD_OUT_SECONDS)
        if len(counts) < 2 or max(counts.values()) < 2:
            raise EarmarkError(
                f"{len(counts)} speakers are held out with recordings of {HELD_OUT_SECONDS:g} s, "
                "expected two, and two recordings of one of them, to judge by",
                "Name more speakers in the lists: 15 % are held out, by their names",
            )


def _as_decoded(utterance: Utterance, samples: int) -> Utterance:
    """The utterance, with the length that was decoded where its list says another."""
    seconds = samples / SAMPLE_RATE
    agrees = abs(seconds - utterance.seconds) < LENGTH_TOLERANCE
    return utterance if agrees else replace(utterance, seconds=seconds)


def _online_target(
    folder: Path,
    data: DataConfig,
    counts: Mapping[str, int],
    targets: NDArray[np.float32],
    waveforms: Waveforms,
) -> OnlineTarget | None:
    """Targets for changed voices, where teachers are given that can be run."""
    if not data.online_teachers:
        return None
    teachers = [OnnxTeacher(Path(path)) for path in data.online_teachers]
    for teacher in teachers:
        if teacher.name not in data.teachers:
            raise EarmarkError(
                f"the online teacher {teacher.name} is not among {', '.join(data.teachers)}",
                "Name the file after the teacher whose embeddings are in the corpus",
            )
    known = [teacher_rows(folder, teacher.name, counts) for teacher in teachers]
    target = OnlineTarget(teachers, known, targets)
    for teacher, rows in zip(teachers, known, strict=True):
        begin = 0
        for name, count in counts.items():
            path = folder / f"{name}.{teacher.name}.npy"
            check_rows(teacher, path, rows[begin : begin + count], waveforms, begin)
            begin += count
    return target


def _kept_voices(
    folder: Path,
    cache: Path,
    config: TrainConfig,
    waveforms: Waveforms,
    online: OnlineTarget | None,
) -> KeptVoices | None:
    """Changed voices of which targets are kept, where settings ask for it."""
    data, voices = config.data, config.augment.voices
    if not data.kept_voices:
        return None
    if online is None or not voices.speed_probability + voices.shift_probability:
        raise EarmarkError(
            "data.kept_voices needs voices that are changed, and teachers that hear them",
            "Set augment.voices and data.online_teachers, or data.kept_voices to 0",
        )
    arrays = [folder / f"{name}.{teacher}.npy" for name in data.lists for teacher in data.teachers]
    return KeptVoices(cache, config, waveforms, online, [*map(Path, data.online_teachers), *arrays])


def _timings(folder: Path, config: TrainConfig) -> list[list[Turn]]:
    """Who spoke when in real meetings, if mixtures or talks will ask for it."""
    mixtures = config.activity.steps and config.activity.talk_probability
    if not mixtures and not config.segmenter.steps:
        return []
    if not folder.is_dir():
        raise EarmarkError(
            f"mixtures and talks need the timings of real meetings, and {folder} is missing",
            "Put RTTM files there, or set activity.talk_probability and segmenter.steps to 0",
        )
    return read_timings(folder)


def _noise_settings(config: TrainConfig) -> dict[str, float]:
    """What mixes noises in, unless it is 0."""
    return {
        "augment.noise_probability": config.augment.noise_probability,
        "activity.steps": config.activity.steps,
        "segmenter.steps": config.segmenter.steps,
    }


def _room_settings(config: TrainConfig) -> dict[str, float]:
    """What puts voices into rooms, unless it is 0."""
    activity = config.activity
    return {
        "augment.room_probability": config.augment.room_probability,
        "activity.room_probability": activity.room_probability if activity.steps else 0.0,
        "segmenter.steps": config.segmenter.steps,
    }


def _recordings(folder: Path, cache: Path, settings: Mapping[str, float]) -> Waveforms:
    """The audio files of a folder; none where all the settings that want them are 0."""
    wanting = [name for name, value in settings.items() if value]
    if not wanting:
        return Waveforms(np.zeros(0, dtype=np.int16), np.zeros(1, dtype=np.int64))
    paths = recordings_in(folder)
    if not paths:
        raise EarmarkError(
            f"no audio in {folder}, which is wanted for {', '.join(wanting)}",
            f"Put recordings there; training does without where {' and '.join(wanting)} "
            f"{'are' if len(wanting) > 1 else 'is'} 0, the export does not",
        )
    waveforms = Waveforms.load(paths, cache)
    readable = [path for i, path in enumerate(paths) if waveforms.length(i)]
    return waveforms if readable == paths else Waveforms.load(readable, cache)
