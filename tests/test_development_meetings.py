"""Risk: settings are chosen by meetings that the runtime would hear otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_corpus import build_corpus
from voices import model

from edge.encoder import DEFAULT_MODEL
from edge.errors import FAILED
from edge.front_end import SAMPLE_RATE
from edge.gate import GateConfig
from edge.pipeline import PipelineConfig
from export.development import (
    FULL_SCALE,
    SAMPLE_SECONDS,
    SAMPLES,
    Rehearsal,
    main,
    rehearsals,
    rehearse,
)
from export.hearing import Hearing, hear
from train.manifest import is_held_out, read_manifest
from train.simulate import BLOCK, HISS, TELEPHONE, Meeting, simulate_meeting


@pytest.fixture(scope="module")
def meeting(tmp_path_factory: pytest.TempPathFactory) -> Meeting:
    folder = build_corpus(tmp_path_factory.mktemp("development") / "corpus")
    voices = [u for u in read_manifest(folder / "train.csv") if is_held_out(u.speaker)]
    return simulate_meeting(voices, folder, speakers=2, seconds=20.0, seed=1)


def assert_alike(one: Hearing, other: Hearing) -> None:
    assert (one.seconds, one.truth) == (other.seconds, other.truth)
    assert one.at_once == other.at_once
    assert one.final == other.final
    np.testing.assert_array_equal(one.first_latency, other.first_latency)
    np.testing.assert_array_equal(one.final_latency, other.final_latency)


@pytest.mark.parametrize("detector", ["neural", "webrtc"])
def test_what_is_recalled_is_heard_as_the_sound_itself(
    tmp_path: Path, meeting: Meeting, detector: str
) -> None:
    config = PipelineConfig(gate=GateConfig(detector=detector))  # type: ignore[arg-type]
    rehearsal = Rehearsal("one", meeting, tmp_path / "kept" / "one.npz")
    first = rehearse(DEFAULT_MODEL, PipelineConfig(), rehearsal)
    assert [path.name for path in rehearsal.kept.parent.iterdir()] == ["one.npz"]
    again = rehearse(DEFAULT_MODEL, config, rehearsal)
    sound = np.rint(np.concatenate(list(meeting.blocks())) * FULL_SCALE) / FULL_SCALE
    truth = hear("one", model(), [sound.astype(np.float32)], meeting.turns, config)
    assert_alike(again, truth)
    if detector == GateConfig().detector:
        assert_alike(first, again)


def test_voices_are_those_held_out_from_the_training_side(meeting: Meeting) -> None:
    long, short = rehearsals(meeting.corpus, Path("kept"), 1, 1)
    for rehearsal in (*long, *short):
        assert all(is_held_out(name) for name in rehearsal.meeting.cast)


def test_what_was_kept_of_another_sound_is_not_taken_for_this_one(
    meeting: Meeting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept() -> Path:
        return rehearsals(meeting.corpus, Path("kept"), 1, 0)[0][0].kept

    first = kept()
    assert kept() == first
    monkeypatch.setattr("train.simulate.HISS", 2 * HISS)
    assert kept() != first


def test_the_sound_is_judged_by_both_kinds_of_lines_and_two_blocks() -> None:
    narrow = [np.random.default_rng([seed, 2, 1]).random() < TELEPHONE for seed in SAMPLES]
    assert narrow == [False, True]
    assert SAMPLE_SECONDS * SAMPLE_RATE > BLOCK


def test_no_corpus_is_one_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--corpus", str(tmp_path), "--kept", str(tmp_path)]) == FAILED
    assert "no list 'train'" in capsys.readouterr().err


def test_a_number_of_jobs_that_cannot_be_is_a_wrong_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--corpus", str(tmp_path), "--kept", str(tmp_path), "--jobs", "0"])
    assert stopped.value.code == 2
    assert "--jobs is 0, expected 1 or more" in capsys.readouterr().err
