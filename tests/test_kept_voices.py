"""Risk: what a teacher said of one voice is kept for another's, or is asked for again and again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_changed_voices import Listening, teacher_graph
from tiny_corpus import CLEAN, batches_of, open_corpus

from edge.errors import EarmarkError
from train.batches import Batch, Batches
from train.config import TrainConfig
from train.corpus import Corpus
from train.kept_voices import KeptVoices
from train.loader import in_order
from train.teacher import OnnxTeacher
from train.voices import VoiceConfig

KEPT = 2
Opened = Callable[[], tuple[Batches, Listening]]


@pytest.fixture
def settings(tmp_path: Path) -> tuple[TrainConfig, Corpus]:
    """All voices changed, two of each utterance kept, and two crops of an utterance in a batch."""
    config, corpus = open_corpus(tmp_path)
    voices = VoiceConfig(speed_probability=0.5, shift_probability=0.5)
    config = replace(
        config,
        data=replace(config.data, kept_voices=KEPT, views=2, splice_probability=0.0),
        augment=replace(CLEAN, ramp_steps=0, voices=voices),
        optimiser=replace(config.optimiser, batch=16, steps=12),
    )
    return config, corpus


@pytest.fixture
def opened(tmp_path: Path, settings: tuple[TrainConfig, Corpus]) -> Opened:
    """Opens the same voices as often as is wanted, as another run would."""
    config, corpus = settings
    graph = teacher_graph(tmp_path / "a.onnx", 9, 9)
    teacher, count = OnnxTeacher(graph), len(corpus.waveforms)
    known = [np.stack([teacher(corpus.waveforms[i]) for i in range(count)])]
    targets = np.random.default_rng(0).standard_normal((count, 8)).astype(np.float32)

    def open_again() -> tuple[Batches, Listening]:
        online = Listening([teacher], known, targets)
        online.heard = []
        kept = KeptVoices(tmp_path / "cache", config, corpus.waveforms, online, [graph])
        return batches_of(config, corpus, online, kept), online

    return open_again


def everything(batches: Batches) -> list[Batch]:
    return [batches[i] for i in range(len(batches))]


def assert_alike(one: list[Batch], other: list[Batch]) -> None:
    for a, b in zip(one, other, strict=True):
        for name in ("fbank", "labels", "targets"):
            assert torch.equal(getattr(a, name), getattr(b, name)), name


def test_each_voice_is_heard_once_by_this_run_and_the_next(opened: Opened) -> None:
    batches, online = opened()
    first = everything(batches)
    assert all(bool(batch.targets.isfinite().all()) for batch in first)
    asked = len(online.heard)
    assert asked <= KEPT * 20 < sum(len(batch.labels) for batch in first)
    assert len({audio.tobytes() for audio in online.heard}) == asked
    assert_alike(first, everything(batches))
    assert len(online.heard) == asked
    later, silent = opened()
    assert_alike(first, everything(later))
    assert silent.heard == []


def test_a_crop_has_the_target_of_the_voice_that_it_was_cut_from(opened: Opened) -> None:
    batches, online = opened()
    kept, random = batches._kept, np.random.default_rng(0)
    assert kept is not None
    for index in (0, 3, 0, 7):
        voice = kept.draw(index, random)
        np.testing.assert_array_equal(voice.target, online(voice.audio))
        crop = voice.random_crop(8000, random)
        whole = np.lib.stride_tricks.sliding_window_view(voice.audio, 8000)
        assert bool((whole == crop).all(axis=1).any())


def test_the_crops_of_an_utterance_in_a_batch_are_one_kept_voices(opened: Opened) -> None:
    for batch in everything(opened()[0]):
        targets = {tuple(row) for row in batch.targets.tolist()}
        assert len(targets) == len(set(batch.utterances.tolist()))


def test_a_target_that_a_kill_left_unfinished_is_asked_for_again(opened: Opened) -> None:
    batches, online = opened()
    first = everything(batches)
    assert batches._kept is not None
    heard = batches._kept._targets
    heard[np.isfinite(heard).all(axis=2), 3:] = np.nan
    asked = len(online.heard)
    assert_alike(first, everything(batches))
    assert len(online.heard) == 2 * asked


def test_loader_processes_keep_what_they_heard_for_all(opened: Opened) -> None:
    batches, online = opened()
    by_loaders = list(in_order(batches, workers=2, ahead=1))
    assert online.heard == [], "the teachers were asked here, too"
    assert_alike(by_loaders, everything(batches))
    assert online.heard == []


def test_crops_without_targets_ask_no_teacher(opened: Opened) -> None:
    batches, online = opened()
    untaught = everything(batches.untaught())
    assert online.heard == []
    assert all(bool(batch.targets.isnan().all()) for batch in untaught)
    for one, other in zip(untaught, everything(batches), strict=True):
        assert torch.equal(one.fbank, other.fbank)


@pytest.mark.parametrize("other", ["speeds", "length", "teacher"])
def test_other_voices_or_teachers_are_heard_anew(
    tmp_path: Path, settings: tuple[TrainConfig, Corpus], opened: Opened, other: str
) -> None:
    everything(opened()[0])
    config, corpus = settings
    graph = teacher_graph(tmp_path / f"{other}.onnx", 9, 5 if other == "teacher" else 9)
    if other == "speeds":
        voices = replace(config.augment.voices, speeds=(0.8, 1.1))
        config = replace(config, augment=replace(config.augment, voices=voices))
    if other == "length":
        config = replace(config, data=replace(config.data, crop_seconds=(0.5, 1.0)))
    _, online = opened()
    kept = KeptVoices(tmp_path / "cache", config, corpus.waveforms, online, [graph])
    kept.draw(0, np.random.default_rng(0))
    assert len(online.heard) == 1


def test_kept_voices_without_a_teacher_are_refused(
    tmp_path: Path, settings: tuple[TrainConfig, Corpus]
) -> None:
    config, _ = settings
    voices = replace(config.augment.voices, shift_probability=0.0)
    config = replace(config, augment=replace(config.augment, voices=voices))
    with pytest.raises(EarmarkError, match=r"data\.kept_voices needs voices that are changed, and"):
        Corpus.open(tmp_path / "corpus", tmp_path / "cache", config)
