"""Risk: diarization is tuned on meetings whose truth is wrong, or on voices of the training."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from tiny_corpus import ASSETS, open_corpus

from train.config import TrainConfig
from train.corpus import Corpus
from train.manifest import is_held_out, read_manifest
from train.simulate import Meeting, _trimmed, simulate_meeting

RATE = 16000


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, Path]:
    """The tiny corpus, and the timing of the bundled conversation."""
    folder = tmp_path_factory.mktemp("meetings")
    (folder / "turns").mkdir()
    truth = (ASSETS / "conversation.rttm").read_text()
    (folder / "turns" / "conversation.rttm").write_text(truth)
    return open_corpus(folder)[1], folder / "turns"


@pytest.fixture(scope="module")
def real(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, Path]:
    """A part of the real corpus, so that not all of it is decoded: twelve held-out voices."""
    folder = tmp_path_factory.mktemp("real")
    utterances = [u for u in read_manifest(corpus / "train.csv") if u.seconds > 1.5]
    seconds: dict[str, float] = {}
    for utterance in utterances:
        name = utterance.speaker
        seconds[name] = seconds.get(name, 0.0) + utterance.seconds
    enough = [name for name in seconds if is_held_out(name) and 9.0 < seconds[name] < 30.0]
    trained = [name for name in seconds if not is_held_out(name)]
    chosen = [u for u in utterances if u.speaker in {*enough[:12], *trained[:4]}]
    lines = (corpus / "train.csv").read_text(encoding="utf-8").splitlines()
    with (folder / "train.csv").open("w", newline="", encoding="utf-8") as output:
        writer = csv.writer(output)
        writer.writerow(next(csv.reader([lines[0]])))
        for utterance in chosen:
            _, *rest = next(csv.reader([lines[utterance.row + 1]]))
            writer.writerow([utterance.path, *rest])
    (folder / "unlabelled.csv").write_text(lines[0] + "\n")
    (folder / "teachers").mkdir()
    rows = [u.row for u in chosen]
    for teacher in ("campplus", "resnet34"):
        embeddings = np.load(corpus / "teachers" / f"train.{teacher}.npy", mmap_mode="r")
        np.save(folder / "teachers" / f"train.{teacher}.npy", embeddings[rows])
        np.save(folder / "teachers" / f"unlabelled.{teacher}.npy", embeddings[:0])
    for name in ("noise", "rir"):
        (folder / name).mkdir()
        first = min(p for p in (corpus / name).iterdir() if p.suffix in {".opus", ".flac"})
        os.symlink(first.resolve(), folder / name / first.name)
    opened = Corpus.open(folder, folder / "cache", TrainConfig())
    return opened, corpus / "turns" / "ami"


def check(meeting: Meeting, seconds: float, speakers: int) -> None:
    """Whether the truth lies in the audio, is true of it, and names held-out voices alone."""
    assert meeting.audio.shape == (int(seconds * RATE),)
    assert meeting.audio.dtype == np.float32
    assert np.isfinite(meeting.audio).all()
    assert np.abs(meeting.audio).max() <= 1.0
    assert meeting.turns == sorted(meeting.turns)
    names = {turn.speaker for turn in meeting.turns}
    assert 1 <= len(names) <= speakers
    assert all(is_held_out(name) for name in names)
    spoken = np.zeros(len(meeting.audio), dtype=bool)
    for turn in meeting.turns:
        assert 0.0 <= turn.start < turn.end <= seconds
        spoken[int(turn.start * RATE) : int(turn.end * RATE)] = True
    outside = meeting.audio[~spoken]
    if len(outside):
        assert np.abs(outside).max() < 0.003, "silence but for the noise of the floor"
    assert np.sqrt(np.mean(meeting.audio[spoken] ** 2)) > 0.01


@pytest.mark.parametrize("seed", range(4))
def test_a_meeting_is_what_its_truth_says(tiny: tuple[Corpus, Path], seed: int) -> None:
    check(simulate_meeting(*tiny, speakers=3, seconds=20.0, seed=seed), 20.0, 3)


def test_a_seed_gives_the_same_meeting_twice_and_another_one_another(
    tiny: tuple[Corpus, Path],
) -> None:
    first, again, other = (
        simulate_meeting(*tiny, speakers=4, seconds=15.0, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.audio, again.audio)
    assert first.turns == again.turns
    assert first.turns != other.turns


def test_an_excerpt_as_long_as_the_conversation_has_its_timing(
    tiny: tuple[Corpus, Path],
) -> None:
    meeting = simulate_meeting(*tiny, speakers=4, seconds=75.0, seed=0)
    check(meeting, 75.0, 4)
    assert len(meeting.turns) >= 20
    assert len({turn.speaker for turn in meeting.turns}) == 4
    assert 0.8 < sum(turn.end - turn.start for turn in meeting.turns) / 62.0 < 1.1


def test_quiet_ends_are_cut_and_nothing_else() -> None:
    tone = (np.sin(np.arange(RATE)) * 0.1).astype(np.float32)
    quiet = np.full(RATE // 2, 1e-4, dtype=np.float32)
    recording = np.concatenate([quiet, tone, quiet, tone, quiet])
    np.testing.assert_array_equal(_trimmed(recording), recording[len(quiet) : -len(quiet)])
    np.testing.assert_array_equal(_trimmed(tone), tone)


@pytest.mark.corpus
def test_meetings_of_real_voices_in_real_turn_taking(real: tuple[Corpus, Path]) -> None:
    for seed in range(3):
        meeting = simulate_meeting(*real, speakers=4, seconds=40.0, seed=seed)
        check(meeting, 40.0, 4)
        again = simulate_meeting(*real, speakers=4, seconds=40.0, seed=seed)
        np.testing.assert_array_equal(meeting.audio, again.audio)
        assert meeting.turns == again.turns
    trained = {utterance.speaker for utterance in real[0].train}
    assert trained
    assert not trained & {turn.speaker for turn in meeting.turns}
