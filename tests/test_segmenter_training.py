"""Risk: the segmenter is taught, or measured, on a truth that is shifted, or moves the encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_corpus import CLEAN, open_corpus, settled_encoder

from edge.errors import EarmarkError
from train.config import SegmenterConfig, TrainConfig
from train.corpus import Corpus
from train.segmentation import hear, measure_segmenter, pair_loss, pairs, train_segmenter
from train.talks import Talk, Talks
from train.turn_taking import SEATS

SETTINGS = SegmenterConfig(steps=60, talks=6, seconds=8.0, batch=8, tokens=12, learning_rate=0.01)
Opened = tuple[TrainConfig, Corpus]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    config, corpus = open_corpus(tmp_path_factory.mktemp("opened"))
    return replace(config, segmenter=SETTINGS), corpus


def clean(config: TrainConfig) -> TrainConfig:
    """Nothing but the voices, and a background far below them."""
    activity = replace(config.activity, background_db=(-70.0, -70.0))
    return replace(config, augment=CLEAN, activity=activity)


def test_a_talk_depends_on_seed_and_number_alone(opened: Opened) -> None:
    config, corpus = opened
    first, again = (Talks(config, corpus, 3, held_out=False) for _ in range(2))
    for i in reversed(range(3)):
        assert all(map(torch.equal, first[i], again[i]))
    others = Talks(config, corpus, 3, held_out=True)
    assert not torch.equal(first[0].fbank[:, :100], others[0].fbank[:, :100])


def test_who_speaks_is_told_of_the_time_at_which_they_do(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.talks.ROOM", 0.0)
    config, corpus = opened
    talks = Talks(clean(config), corpus, 12, held_out=False)
    shape, best = config.encoder, []
    per_record = shape.frames_per_record
    for talk in (talks[i] for i in range(12)):
        assert talk.speakers.shape == (SETTINGS.seconds * 100 / per_record, SEATS)
        assert talk.fbank.shape[1] == SETTINGS.seconds * 100
        spoken = talk.speakers.any(dim=1).numpy()
        # Record r is of the fbank frames `look_ahead` before its place.
        level = talk.fbank[0].mean(dim=1).numpy()
        later = range(-30, 31, 3)
        found = []
        for shift in later:
            at = np.arange(len(spoken)) * per_record - shape.look_ahead + per_record // 2 + shift
            inside = (at >= 0) & (at < len(level))
            loud = level[np.clip(at, 0, len(level) - 1)]
            if len(set(spoken[inside])) == 2:
                there = loud[inside & spoken].mean() - loud[inside & ~spoken].mean()
                found.append(there)
        if found:
            best.append(later[int(np.argmax(found))])
    assert len(best) >= 5
    assert abs(np.median(best)) <= 6, "to within 60 ms"


def test_talks_need_voices_enough(opened: Opened) -> None:
    config, corpus = opened
    few = {u.speaker for u in corpus.train if u.speaker}
    few = set(sorted(few)[: SEATS - 1])
    chosen = [i for i, u in enumerate(corpus.train) if u.speaker in few]
    poor = replace(
        corpus,
        train=[corpus.train[i] for i in chosen],
        train_indices=corpus.train_indices[chosen],
    )
    with pytest.raises(EarmarkError, match="4 speakers"):
        Talks(config, poor, 1, held_out=False)


def test_pairs_are_of_tokens_in_which_one_speaks_alone() -> None:
    speakers = torch.tensor([[[1, 0], [1, 0], [0, 1], [1, 1], [0, 0]]], dtype=torch.bool)
    same, clear = pairs(speakers)
    alone = [True, True, True, False, False]
    expected = np.outer(alone, alone) & ~np.eye(5, dtype=bool)
    assert (clear[0].numpy() == expected).all()
    assert (same & clear)[0].nonzero().tolist() == [[0, 1], [1, 0]]


def test_the_loss_is_that_of_right_odds_and_blind_to_unclear_tokens() -> None:
    speakers = torch.tensor([[[1, 0], [1, 0], [0, 1], [1, 1]]], dtype=torch.bool)
    same, clear = pairs(speakers)
    right = torch.where(same, 10.0, -10.0)
    assert pair_loss(right, speakers) < 1e-3 < pair_loss(-right, speakers)
    unclear = torch.where(clear, right, 100.0 * torch.randn(right.shape))
    assert torch.equal(pair_loss(unclear, speakers), pair_loss(right, speakers))
    nobody = torch.zeros_like(speakers)
    assert pair_loss(right, nobody) == 0.0


def test_training_moves_the_segmenter_alone_and_goes_on_from_what_was_heard(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.segmentation.PART", 4)
    config, corpus = opened
    encoder = settled_encoder(2)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    losses = train_segmenter(encoder, config, corpus, tmp_path, workers=0)
    assert len(losses) == SETTINGS.steps
    assert np.mean(losses[-10:]) < 0.95 * np.mean(losses[:10])
    moved = {
        name.split(".")[0]
        for name, value in encoder.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert moved == {"segmenter"}
    assert not encoder.training

    last = tmp_path / "4.npz"
    last.unlink()
    kept = (tmp_path / "0.npz").stat().st_mtime_ns
    other = settled_encoder(2)
    assert train_segmenter(other, config, corpus, tmp_path, workers=0) == losses
    assert last.is_file()
    assert (tmp_path / "0.npz").stat().st_mtime_ns == kept
    assert not list(tmp_path.glob(".partial*"))
    figures = measure_segmenter(encoder, config, corpus, tmp_path, workers=0)
    assert 0.0 <= figures["one_voice_auc"] <= 1.0


class Silence(Talks):
    """Talks in which nothing is heard."""

    def __getitem__(self, i: int) -> Talk:
        frames = 100
        return Talk(torch.full((1, frames, 80), -16.0), torch.zeros(10, SEATS, dtype=torch.bool))


def test_a_talk_without_speech_has_no_tokens(tmp_path: Path, opened: Opened) -> None:
    config, corpus = opened
    encoder = settled_encoder(2)
    encoder.activity.outer.bias.data[:] = -100.0
    (talk,) = hear(encoder, Silence(config, corpus, 1, held_out=False), tmp_path, workers=0)
    assert talk.tokens.shape == (0, encoder.segmenter.inputs)
    assert talk.speakers.shape == (0, SEATS)


def test_parts_that_no_talk_has_are_named(tmp_path: Path, opened: Opened) -> None:
    config, corpus = opened
    encoder = settled_encoder(2)
    encoder.activity.outer.bias.data[:] = -100.0
    with pytest.raises(EarmarkError, match=rf"segmenter.tokens is {SETTINGS.tokens}, expected 0 "):
        train_segmenter(encoder, config, corpus, tmp_path, workers=0)


def test_held_out_talks_without_speech_are_not_measured(tmp_path: Path, opened: Opened) -> None:
    config, corpus = opened
    encoder = settled_encoder(2)
    encoder.activity.outer.bias.data[:] = -100.0
    with pytest.raises(EarmarkError, match="hears too little speech in talks of those held out"):
        measure_segmenter(encoder, config, corpus, tmp_path, workers=0)
