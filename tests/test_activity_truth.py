"""Risk: the activity outputs are taught, or measured, on a truth that is shifted or wrong."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_corpus import ASSETS, CLEAN, conversation, open_corpus

from edge.errors import EarmarkError
from edge.rttm import read_rttm
from train.activity import log_odds, measure_activity, mixtures, train_activity
from train.config import TrainConfig
from train.corpus import Corpus
from train.encoder import Encoder
from train.mixtures import FRAME, Mixture, rustle, speech_marks


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainConfig, Corpus]:
    return open_corpus(tmp_path_factory.mktemp("opened"))


def clean(config: TrainConfig, **settings: object) -> TrainConfig:
    """Nothing but the voices, and a background far below them."""
    activity = replace(
        config.activity,
        room_probability=0.0,
        talk_probability=0.0,
        distant_probability=0.0,
        background_db=(-70.0, -70.0),
    )
    activity = replace(activity, **settings)  # type: ignore[arg-type]
    return replace(config, augment=CLEAN, activity=activity)


def test_a_mixture_depends_on_seed_and_step_alone(opened: tuple[TrainConfig, Corpus]) -> None:
    config, corpus = opened
    first, second = (mixtures(config, corpus, held_out=False) for _ in range(2))
    assert len(first) == config.activity.steps
    expected = [first[i] for i in range(4)]
    for i in reversed(range(4)):
        for field in fields(Mixture):
            again = getattr(second[i], field.name)
            assert torch.equal(again, getattr(expected[i], field.name))
        size, time, mels = expected[i].fbank.shape
        assert (size, mels) == (config.activity.batch, 80)
        assert expected[i].truth.shape == (size, time // config.encoder.stride, 3)
        assert set(expected[i].truth.unique().tolist()) <= {0.0, 1.0}
        assert (expected[i].truth[..., 2] <= expected[i].truth[..., 1]).all(), "overlap is speech"


def test_of_words_alone_no_mixtures_are_made(opened: tuple[TrainConfig, Corpus]) -> None:
    config, corpus = opened
    words = replace(corpus, train=[replace(u, seconds=1.0) for u in corpus.train])
    with pytest.raises(EarmarkError, match=r"mixtures need utterances of 1\.5 s or more"):
        mixtures(config, words, held_out=False)


def test_speech_is_marked_where_people_speak() -> None:
    audio = conversation()
    marks = speech_marks(audio)
    truth = np.zeros(len(marks), dtype=bool)
    for turn in read_rttm(ASSETS / "conversation.rttm"):
        truth[int(turn.start * 50) : int(turn.end * 50)] = True
    assert (marks == truth).mean() > 0.9
    assert not speech_marks(np.zeros(16000, dtype=np.float32)).any()


@pytest.mark.parametrize(("output", "records"), [(0, 0), (1, 3)])
def test_truth_is_as_late_as_the_output(
    opened: tuple[TrainConfig, Corpus], output: int, records: int
) -> None:
    config, corpus = opened
    config = clean(
        config, nobody_probability=0.0, two_voices_probability=0.0, part_probability=1.0, batch=24
    )
    mixture = mixtures(config, corpus, held_out=False)[0]
    shape = config.encoder
    level = mixture.fbank.mean(dim=2).unflatten(1, (-1, shape.stride)).mean(dim=2).numpy()
    truth = mixture.truth[..., output].numpy()
    agreement = {lag: correlation(level, truth, lag) for lag in range(-6, 25)}
    best = max(agreement, key=agreement.__getitem__)
    # In encoder frames; the fbank's own window makes it 0.5 frame uncertain.
    late = shape.look_ahead + records * shape.frames_per_record
    assert abs(best - late / shape.stride) <= 1, agreement


def correlation(level: NDArray[np.float32], truth: NDArray[np.float32], lag: int) -> float:
    """Of level with the truth that comes `lag` frames later."""
    keep = slice(6, level.shape[1] - 25)
    later = truth[:, keep.start + lag : keep.stop + lag]
    return float(np.corrcoef(level[:, keep].ravel(), later.ravel())[0, 1])


def test_two_voices_at_once_are_overlap_and_none_is_silence(
    opened: tuple[TrainConfig, Corpus],
) -> None:
    config, corpus = opened

    def shares(**settings: float) -> list[float]:
        made = mixtures(clean(config, batch=12, **settings), corpus, held_out=False)
        means: list[float] = made[0].truth.mean(dim=(0, 1)).tolist()
        return means

    whole = {"part_probability": 0.0}
    assert shares(nobody_probability=1.0, **whole) == [0.0, 0.0, 0.0]
    _, speech, overlap = shares(nobody_probability=0.0, two_voices_probability=0.0, **whole)
    assert speech > 0.5
    assert overlap == 0.0
    parts = {"part_probability": 0.3}
    _, speech, overlap = shares(nobody_probability=0.0, two_voices_probability=1.0, **parts)
    assert speech > overlap > 0.4


def test_who_is_far_away_is_heard_and_does_not_count(opened: tuple[TrainConfig, Corpus]) -> None:
    config, corpus = opened
    config = clean(config, nobody_probability=0.0, batch=1)
    far = replace(config, activity=replace(config.activity, distant_probability=1.0))
    alone, beside = (mixtures(c, corpus, held_out=False)[2] for c in (config, far))
    assert torch.equal(alone.truth, beside.truth)
    assert not torch.equal(alone.fbank, beside.fbank)
    loud = alone.fbank.amax(dim=2) > alone.fbank.max() - np.log(10.0)
    assert (alone.fbank - beside.fbank)[loud].abs().mean() < 0.1, "far below the voice that counts"


def test_turns_are_taken_as_in_a_real_meeting(opened: tuple[TrainConfig, Corpus]) -> None:
    config, corpus = opened
    config = clean(
        config, nobody_probability=0.0, talk_probability=1.0, batch=32, seconds=(6.0, 8.0)
    )
    mixture = mixtures(config, corpus, held_out=False)[0]
    _, speech, overlap = mixture.truth.mean(dim=(0, 1)).tolist()
    assert speech > 0.5
    assert 0.01 < overlap < 0.4, "people interrupt, but mostly one speaks at a time"
    level = mixture.fbank.mean(dim=2).unflatten(1, (-1, config.encoder.stride)).mean(dim=2)
    heard = mixture.truth[..., 0] > 0
    assert level[heard].mean() > level[~heard].mean() + 3.0


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_training_changes_the_activity_outputs_and_nothing_else(
    tmp_path: Path, opened: tuple[TrainConfig, Corpus], precision: Literal["no", "bf16"]
) -> None:
    config, corpus = opened
    config = replace(config, optimiser=replace(config.optimiser, precision=precision))
    torch.manual_seed(0)
    encoder = Encoder(config.encoder)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    config = replace(config, activity=replace(config.activity, steps=60, batch=8))
    losses = train_activity(encoder, config, corpus, tmp_path / "checkpoint.pt", workers=0)
    assert len(losses) == 60
    assert np.mean(losses[-10:]) < np.mean(losses[:10])
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, before[name]) != name.startswith("activity."), name


def test_what_is_measured_tells_a_knowing_encoder_from_a_guessing_one(
    opened: tuple[TrainConfig, Corpus], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, corpus = opened
    monkeypatch.setattr("train.activity.MEASURED", 2)

    def knowing(_: Encoder, mixture: Mixture) -> torch.Tensor:
        return mixture.truth * 8.0 - 4.0

    monkeypatch.setattr("train.activity.log_odds", knowing)
    figures = measure_activity(Encoder(config.encoder), config, corpus)
    assert figures.speech_auc == figures.later_speech_auc == 1.0
    assert figures.overlap_auc == figures.overlap_precision == 1.0
    assert 0.0 < figures.overlap_share < 0.5
    monkeypatch.setattr("train.activity.log_odds", log_odds)
    figures = measure_activity(Encoder(config.encoder), config, corpus)
    assert figures.overlap_auc < 0.95


def test_marks_are_of_the_samples_they_stand_for() -> None:
    assert FRAME == 320
    audio = conversation()[: 4 * 16000 + 17]
    assert len(speech_marks(audio)) == len(audio) // FRAME


def test_what_rustles_is_finite_and_heard() -> None:
    random = np.random.default_rng(4)
    for count in (16000, 70001):
        for _ in range(20):
            noise = rustle(count, random)
            assert noise.shape == (count,)
            assert noise.dtype == np.float32
            assert np.isfinite(noise).all()
            assert np.abs(noise).max() > 0.0


def test_held_out_mixtures_are_timed_otherwise(opened: tuple[TrainConfig, Corpus]) -> None:
    config, corpus = opened
    ours, theirs = (mixtures(config, corpus, held_out=held_out)[0] for held_out in (False, True))
    assert ours.fbank.shape != theirs.fbank.shape or not torch.equal(ours.truth, theirs.truth)
