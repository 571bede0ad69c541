"""Risk: the head learns from statistics that are not those of its crops, or moves the trunk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_corpus import SHAPE, build_corpus, open_corpus, settled_encoder, tiny_config

from edge.errors import EarmarkError
from train.cli import main
from train.config import HeadConfig, TrainConfig
from train.corpus import Corpus
from train.encoder import FramesGraph
from train.encoder_file import load_encoder, save_encoder
from train.head import train_head
from train.hearings import RECORDS, Hearings, Utterances
from train.voices import VoiceConfig

HEAD = HeadConfig(steps=400, hearings=2, batch=32, kept=1.0)
Opened = tuple[TrainConfig, Corpus]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    config, corpus = open_corpus(tmp_path_factory.mktemp("opened"))
    return replace(config, head=HEAD), corpus


def test_crops_are_stretches_of_what_the_trunk_made_of_the_recordings(
    tmp_path: Path, opened: Opened
) -> None:
    config, corpus = opened
    encoder = settled_encoder(1)
    hearings = Hearings.open(encoder, config, corpus, tmp_path, workers=0)
    sums, labels = hearings.crops(64, np.random.default_rng(3))
    assert sums.shape == (64, encoder.statistics_size)
    assert set(labels) <= set(range(8))
    span = RECORDS * SHAPE.frames_per_record // SHAPE.stride
    assert set(sums[:, 0] % span) == {0.0}
    assert sums[:, 0].max() > sums[:, 0].min() >= span

    spans: dict[int, list[np.ndarray]] = {}
    for number in range(HEAD.hearings):
        utterances = Utterances(config, corpus, number)
        for fbank, label in (utterances[i] for i in range(len(utterances))):
            with torch.inference_mode():
                records, _ = FramesGraph(encoder)(fbank, encoder.initial_state(1))
            parts = records[0].unflatten(0, (-1, RECORDS)).sum(dim=1).double().numpy()
            spans.setdefault(label, []).append(np.cumsum(np.pad(parts, ((1, 0), (0, 0))), axis=0))
    for crop, label in zip(sums[:8], labels[:8], strict=True):
        count = int(crop[0]) // span
        stretches = [part[count:] - part[:-count] for part in spans[int(label)]]
        nearest = min(np.abs(rows - crop).max(axis=1).min() for rows in stretches if len(rows))
        assert nearest < 1e-3


def test_each_hearing_is_another_and_the_same_every_time(opened: Opened) -> None:
    config, corpus = opened
    first, again, second = (Utterances(config, corpus, number)[0][0] for number in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_a_changed_voice_is_a_speaker_of_its_own(opened: Opened) -> None:
    config, corpus = opened
    voices = VoiceConfig(speed_probability=1.0, speeds=(0.9, 1.1), shift_probability=0.5)
    utterances = Utterances(
        replace(config, augment=replace(config.augment, voices=voices)), corpus, 0
    )
    labels = {utterances[i][1] for i in range(len(utterances))}
    assert -1 in labels  # of those that are not labelled
    assert labels - {-1} <= set(range(8, 24))
    assert len(labels) > 8


def test_a_stopped_stage_hears_nothing_twice_and_ends_the_same(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, corpus = opened
    straight, stopped = settled_encoder(1), settled_encoder(1)
    train_head(straight, config, corpus, tmp_path / "straight", workers=0)

    once = replace(config, head=replace(HEAD, hearings=1))
    Hearings.open(stopped, once, corpus, tmp_path / "stopped", workers=0)
    heard = list[int]()
    ask = Utterances.__init__

    def count(self: Utterances, config: TrainConfig, corpus: Corpus, hearing: int) -> None:
        heard.append(hearing)
        ask(self, config, corpus, hearing)

    monkeypatch.setattr(Utterances, "__init__", count)
    train_head(stopped, config, corpus, tmp_path / "stopped", workers=0)
    assert heard == [1]
    got = stopped.state_dict()
    assert all(torch.equal(value, got[name]) for name, value in straight.state_dict().items())


def test_the_head_learns_its_speakers_and_nothing_else_moves(
    tmp_path: Path, opened: Opened
) -> None:
    config, corpus = opened
    encoder = settled_encoder(1)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    losses = train_head(encoder, config, corpus, tmp_path, workers=0)
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:20])
    moved = {name for name, value in encoder.state_dict().items() if not value.equal(before[name])}
    layers = ("head_linear", "head_in", "head_out")
    assert moved == {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
    sums = torch.rand(2, encoder.statistics_size)
    assert torch.equal(encoder.head(sums), encoder.head(sums))  # nothing is dropped any more


def test_a_share_of_the_change_is_kept(tmp_path: Path, opened: Opened) -> None:
    config, corpus = opened
    begun, none, half, whole = (settled_encoder(1) for _ in range(4))
    for encoder, kept in ((none, 0.0), (half, 0.5), (whole, 1.0)):
        asked = replace(config, head=replace(HEAD, kept=kept))
        train_head(encoder, asked, corpus, tmp_path, workers=0)
    assert torch.equal(none.head_out.weight, begun.head_out.weight)
    assert not torch.allclose(whole.head_out.weight, begun.head_out.weight, atol=1e-3)
    middle = (begun.head_out.weight + whole.head_out.weight) / 2
    torch.testing.assert_close(half.head_out.weight, middle)


def test_the_command_trains_the_head_of_a_given_encoder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, run = build_corpus(tmp_path / "corpus"), tmp_path / "run"
    config = tiny_config(tmp_path)
    config.write_text(
        config.read_text()
        .replace("steps: 6", "steps: 0")
        .replace(
            "activity: {steps: 4", "head: {steps: 3, hearings: 1, batch: 8}\nactivity: {steps: 0"
        )
    )
    command = ["--corpus", str(corpus), "--run", str(run), "--config", str(config)]
    assert main([*command, "--workers", "0"]) == 1
    assert "--init" in capsys.readouterr().err

    given = settled_encoder(2)
    save_encoder(given, tmp_path / "given.pt")
    assert main([*command, "--workers", "0", "--init", str(tmp_path / "given.pt")]) == 0
    assert "eer_3s" in capsys.readouterr().out

    assert main([*command, "--workers", "0", "--init", str(tmp_path / "given.pt")]) == 0
    config.write_text(config.read_text() + "seed: 4\n")
    assert main([*command, "--workers", "0", "--init", str(tmp_path / "given.pt")]) == 1
    assert "another configuration: seed 1 (now 4)" in capsys.readouterr().err

    made = load_encoder(run / "encoder.pt").state_dict()
    same = {name for name, value in given.state_dict().items() if value.equal(made[name])}
    assert "blocks.0.expand.linear.weight" in same
    assert "head_out.weight" not in same


def test_every_recording_is_summed_whole_whatever_the_parts(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, corpus = opened
    hearings = Hearings.open(settled_encoder(1), config, corpus, tmp_path, workers=0)
    whole = [np.concatenate(part) for part in zip(*hearings.whole(), strict=True)]
    monkeypatch.setattr("train.hearings.PART", 3)
    parts = [np.concatenate(part) for part in zip(*hearings.whole(), strict=True)]
    assert len(whole[1]) == HEAD.hearings * len(corpus.train)
    np.testing.assert_array_equal(parts[1], whole[1])
    np.testing.assert_allclose(parts[0], whole[0], rtol=1e-5)
    assert set(whole[1]) == set(range(-1, hearings.speakers))


def test_speakers_without_names_are_refused(tmp_path: Path, opened: Opened) -> None:
    config, corpus = opened
    nameless = replace(corpus, train=[replace(u, speaker="") for u in corpus.train])
    with pytest.raises(EarmarkError, match="no training utterance has a label"):
        Hearings.open(settled_encoder(1), config, nameless, tmp_path, workers=0)


def test_what_another_encoder_heard_is_not_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = build_corpus(tmp_path / "corpus")
    (tmp_path / "head.yaml").write_text(
        "optimiser: {steps: 0}\ndata: {teachers: []}\nhead: {steps: 2, hearings: 1, batch: 8}\n"
    )
    words = ["--corpus", str(corpus), "--run", str(tmp_path / "run"), "--workers", "0"]
    words += ["--config", str(tmp_path / "head.yaml")]
    for seed in (1, 2):
        save_encoder(settled_encoder(seed), tmp_path / f"{seed}.pt")
    assert main([*words, "--init", str(tmp_path / "1.pt")]) == 0
    assert main([*words, "--init", str(tmp_path / "1.pt")]) == 0
    capsys.readouterr()
    assert main([*words, "--init", str(tmp_path / "2.pt")]) == 1
    assert "begun with the weights of another encoder" in capsys.readouterr().err
