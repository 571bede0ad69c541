"""Risk: a training run that was stopped goes on as another run, or cannot go on."""

from __future__ import annotations

import json
import re
import resource
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from tiny_corpus import SHAPE, build_corpus, open_corpus, settled_encoder, tiny_config
from torch import Tensor

from edge.errors import EarmarkError
from train.activity import train_activity
from train.batches import Batch
from train.cli import main
from train.config import TrainConfig
from train.corpus import Corpus
from train.curves import plot_curves
from train.encoder import Encoder
from train.encoder_file import load_encoder, save_encoder
from train.optimiser import descend
from train.run_folder import RunFolder
from train.run_log import drop_rows_after
from train.trainer import Trainer
from train.waveforms import Waveforms


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainConfig, Corpus]:
    return open_corpus(tmp_path_factory.mktemp("opened"))


class Interrupted(Trainer):
    """Hears Ctrl-C in the middle of its third step, as the keyboard would send it."""

    def _update(self, batches: Sequence[Batch]) -> dict[str, float]:
        if self.step == 2:
            signal.raise_signal(signal.SIGINT)
        terms = super()._update(batches)
        if self.step == 2:
            signal.raise_signal(signal.SIGINT)
        return terms


def tensors(path: Path) -> dict[str, Tensor]:
    """All numbers of a checkpoint, optimiser included, by place."""
    found: dict[str, Tensor] = {}

    def walk(place: str, value: object) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{place}.{key}", inner)
        elif isinstance(value, list):
            for i, inner in enumerate(value):
                walk(f"{place}.{i}", inner)
        elif isinstance(value, Tensor):
            found[place] = value
        elif isinstance(value, int | float):
            found[place] = torch.tensor(value)

    walk("", torch.load(path, weights_only=True))
    return found


def same_weights(first: Encoder, second: Encoder) -> bool:
    one, other = first.state_dict(), second.state_dict()
    return all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_stopped_in_the_middle_of_a_step_ends_weight_for_weight_like_one_never_stopped(
    tmp_path: Path, opened: tuple[TrainConfig, Corpus]
) -> None:
    config, corpus = opened
    straight = Trainer(config, corpus, tmp_path / "straight", workers=0)
    expected_encoder = straight.train()

    stopped = Interrupted(config, corpus, tmp_path / "stopped", workers=0)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        stopped.train()
    assert signal.getsignal(signal.SIGINT) is handler
    assert stopped.run.checkpoint.is_file()
    assert not stopped.run.stage("encoder").exists()
    assert tensors(stopped.run.checkpoint)[".step"] == 3

    resumed = Trainer(config, corpus, tmp_path / "stopped", workers=1)
    encoder = resumed.train()
    expected, got = tensors(straight.run.checkpoint), tensors(resumed.run.checkpoint)
    assert expected.keys() == got.keys()
    assert len(expected) > 100
    different = [place for place in expected if not torch.equal(expected[place], got[place])]
    assert different == []
    assert same_weights(encoder, expected_encoder)
    kept = Trainer(config, corpus, tmp_path / "stopped", workers=0).train()
    assert same_weights(kept, expected_encoder)


def test_a_full_disk_stops_the_run_and_leaves_the_last_checkpoint_whole(
    tmp_path: Path, opened: tuple[TrainConfig, Corpus]
) -> None:
    config, corpus = opened
    stopped = Interrupted(config, corpus, tmp_path, workers=0)
    with pytest.raises(KeyboardInterrupt):
        stopped.train()
    before = stopped.run.checkpoint.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) - 1, hard))  # stands for the full disk
    try:
        with pytest.raises(EarmarkError, match=r"cannot write .*checkpoint\.pt: File too large"):
            Trainer(config, corpus, tmp_path, workers=0).train()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert stopped.run.checkpoint.read_bytes() == before
    assert not list(tmp_path.rglob("*partial*"))


def test_a_second_training_in_the_folder_is_one_clear_error_and_changes_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wrote over each other's checkpoints."""
    monkeypatch.setattr("train.run_folder.PATIENCE", 0.0)
    run, corpus = tmp_path / "run", build_corpus(tmp_path / "corpus")
    words = ["--corpus", str(corpus), "--config", str(tiny_config(tmp_path)), "--workers", "0"]
    with RunFolder(run).alone():
        assert main([*words, "--run", str(run)]) == 1
    assert f"another training is at work in {run}. Wait for its end" in capfd.readouterr().err
    assert [path.name for path in run.iterdir()] == ["lock"]
    assert main([*words, "--run", str(run)]) == 0


def test_a_run_that_failed_at_its_beginning_may_begin_otherwise(
    tmp_path: Path, opened: tuple[TrainConfig, Corpus], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, corpus = opened
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("train.trainer.write_whole", fail)
        with pytest.raises(OSError, match="full"):
            Trainer(config, corpus, run, workers=0).train()
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_update", fail)
        with pytest.raises(OSError, match="full"):
            Trainer(config, corpus, run, workers=0).train()
    left = run / "hearings" / ".partial-1-0.f32"
    left.parent.mkdir()
    left.touch()  # by a process that was killed
    Trainer(replace(config, seed=config.seed + 1), corpus, run, workers=0).train()
    assert not left.exists()


def fail(*_: object) -> None:
    raise OSError("full")


def test_a_finished_run_keeps_its_log_without_its_checkpoint(
    tmp_path: Path, opened: tuple[TrainConfig, Corpus]
) -> None:
    config, corpus = opened
    Trainer(config, corpus, tmp_path, workers=0).train()
    log = "step,loss\n50,1.00000\n"
    (tmp_path / "train.csv").write_text(log)
    (tmp_path / "checkpoint.pt").unlink()
    Trainer(config, corpus, tmp_path, workers=0).train()
    assert (tmp_path / "train.csv").read_text() == log


@pytest.mark.parametrize("torn", ["1", "100,1.1", "\0\0\0", "\0\0,\n"])
def test_a_torn_row_is_not_gone_on_from(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "train.csv"
    path.write_text("step,loss\n50,1.0\n" + torn)
    drop_rows_after(path, 100)
    assert path.read_text() == "step,loss\n50,1.0\n"


class Presser:
    """Presses Ctrl-C in the middle of the third step that it sees."""

    def __init__(self) -> None:
        self.steps = 0

    def __call__(
        self, optimiser: torch.optim.Optimizer, loss: Tensor, rate: float, step: int
    ) -> float:
        self.steps += 1
        if self.steps == 3:
            signal.raise_signal(signal.SIGINT)
        return descend(optimiser, loss, rate, step)


def test_activity_outputs_stopped_in_the_middle_of_a_step_end_like_those_never_stopped(
    tmp_path: Path, opened: tuple[TrainConfig, Corpus], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, corpus = opened
    straight, stopped, resumed = (settled_encoder(1) for _ in range(3))
    losses = train_activity(straight, config, corpus, tmp_path / "straight.pt", workers=0)
    with monkeypatch.context() as pressed, pytest.raises(KeyboardInterrupt):
        pressed.setattr("train.activity.descend", Presser())
        train_activity(stopped, config, corpus, tmp_path / "stopped.pt", workers=0)
    assert tensors(tmp_path / "stopped.pt")[".step"] == 3
    left = train_activity(resumed, config, corpus, tmp_path / "stopped.pt", workers=1)
    assert left == losses[3:]
    assert same_weights(resumed, straight)
    assert not same_weights(resumed, settled_encoder(1))


@pytest.mark.parametrize("stage", ["activity", "head", "segmenter"])
def test_a_stage_whose_loss_is_no_number_does_not_come_to_its_end(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], stage: str
) -> None:
    corpus, config = build_corpus(tmp_path / "corpus"), tiny_config(tmp_path)
    save_encoder(settled_encoder(1), tmp_path / "given.pt")
    settings: dict[str, dict[str, object]] = {
        name: {"steps": 0} for name in ("optimiser", "activity", "head", "segmenter")
    }
    settings["segmenter"] |= {"talks": 4, "tokens": 2}
    settings[stage] |= {"steps": 4, "learning_rate": 1e30}
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | settings))
    words = ["--corpus", str(corpus), "--config", str(config), "--workers", "0"]
    words += ["--run", str(tmp_path / "run"), "--init", str(tmp_path / "given.pt")]
    assert main(words) == 1
    assert re.search(r"the loss is nan at step [123], expected", capfd.readouterr().err)
    assert not (tmp_path / "run" / "encoder.pt").exists()


def test_stages_that_have_come_to_their_end_are_not_run_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, config = build_corpus(tmp_path / "corpus"), tiny_config(tmp_path)
    words = ["--corpus", str(corpus), "--config", str(config), "--workers", "0", "--run"]
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    assert main([*words, str(straight)]) == 0

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as pressed:
        pressed.setattr("train.cli.train_segmenter", stop)
        assert main([*words, str(stopped)]) == 130
    assert not (stopped / "encoder.pt").exists()
    monkeypatch.setattr("train.trainer.Trainer._update", stop)
    monkeypatch.setattr("train.trainer.whiten_head", stop)
    monkeypatch.setattr("train.cli.train_activity", stop)
    assert main([*words, str(stopped)]) == 0
    first, second = (load_encoder(run / "encoder.pt") for run in (straight, stopped))
    assert same_weights(first, second)

    before = (stopped / "encoder.pt").stat().st_mtime_ns
    capfd.readouterr()
    assert main([*words, str(stopped)]) == 0
    assert f"already finished: export it with  earmark-export {stopped}" in capfd.readouterr().out
    assert (stopped / "encoder.pt").stat().st_mtime_ns == before
    config.write_text(config.read_text() + "seed: 2\n")
    assert main([*words, str(stopped)]) == 1
    assert "begun with another configuration: seed 1 (now 2)" in capfd.readouterr().err


def test_what_was_measured_of_a_stage_outlives_the_terminal_and_a_stop(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, config = build_corpus(tmp_path / "corpus"), tiny_config(tmp_path)
    words = ["--corpus", str(corpus), "--config", str(config), "--workers", "0"]
    words += ["--run", str(tmp_path / "run")]

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as pressed:
        pressed.setattr("train.cli.measure_activity", stop)
        assert main(words) == 130
    assert main(words) == 0
    told = {line.split()[0]: line.split()[-1] for line in capfd.readouterr().out.splitlines()}
    for stage, name in (("activity", "overlap_auc"), ("segmenter", "one_voice_auc")):
        kept = json.loads((tmp_path / "run" / "stages" / f"{stage}.json").read_text())
        assert f"{kept[name]:.3f}" == told[name]
    assert main(words) == 0
    assert "overlap_auc" not in capfd.readouterr().out


def test_a_run_depends_on_its_seed(tmp_path: Path, opened: tuple[TrainConfig, Corpus]) -> None:
    config, corpus = opened
    one = Trainer(config, corpus, tmp_path / "one", workers=0)
    two = Trainer(replace(config, seed=2), corpus, tmp_path / "two", workers=0)
    assert not torch.equal(one.encoder.stem.linear.weight, two.encoder.stem.linear.weight)
    assert not torch.equal(one.batches[0].labels, two.batches[0].labels)


def test_an_encoder_in_training_can_be_validated_on_held_out_speakers(
    tmp_path: Path, opened: tuple[TrainConfig, Corpus]
) -> None:
    config, corpus = opened
    trainer = Trainer(config, corpus, tmp_path, workers=0)
    figures = trainer.validate(trainer.averaged_encoder())
    assert 0.0 <= figures["eer_3s"] <= 100.0
    assert 0.0 <= figures["min_dcf_3s"] <= 1.0


def test_a_gradient_that_is_no_number_is_not_followed(
    tmp_path: Path, opened: tuple[TrainConfig, Corpus], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, corpus = opened
    trainer = Trainer(config, corpus, tmp_path, workers=0)
    monkeypatch.setattr(
        "train.objective.distillation_loss", lambda e, _: (e.sum() * 0.0).sqrt() + e.mean()
    )
    with pytest.raises(EarmarkError, match="norm of the gradient is nan at step 0, expected"):
        trainer.train()
    assert all(bool(values.isfinite().all()) for values in trainer.encoder.state_dict().values())


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_the_last_good_checkpoint(
    tmp_path: Path, opened: tuple[TrainConfig, Corpus], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, corpus = opened
    with pytest.raises(KeyboardInterrupt):
        Interrupted(config, corpus, tmp_path, workers=0).train()
    before = (tmp_path / "checkpoint.pt").read_bytes()
    broken = Trainer(config, corpus, tmp_path, workers=0)
    monkeypatch.setattr("train.objective.distillation_loss", lambda e, _: e.sum() * float("nan"))
    with pytest.raises(EarmarkError, match="the loss is nan at step 3, expected") as stopped:
        broken.train()
    assert "What was saved before, if anything, is whole" in stopped.value.remedy
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_the_command_trains_writes_where_it_came_from_and_run_again_only_writes_the_encoder(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "runs" / "tiny"
    arguments = ["--corpus", str(build_corpus(tmp_path / "corpus")), "--run", str(run)]
    arguments += ["--config", str(tiny_config(tmp_path))]
    assert main(arguments) == 0
    assert f"earmark-export {run / 'encoder.pt'}" in capfd.readouterr().out
    assert load_encoder(run / "encoder.pt").config == SHAPE
    origin = json.loads((run / "provenance.json").read_text())
    assert origin["config"]["optimiser"]["steps"] == 6
    assert origin["config"]["encoder"]["channels"] == SHAPE.channels
    assert origin["config"]["augment"]["noise_probability"] > 0, "defaults are written out too"
    assert origin["packages"]["torch"] == torch.__version__
    assert origin["commit"]

    checkpoint = tensors(run / "checkpoint.pt")
    weights = load_encoder(run / "encoder.pt").state_dict()
    (run / "encoder.pt").unlink()
    assert main(arguments) == 0
    again = tensors(run / "checkpoint.pt")
    assert all(torch.equal(checkpoint[place], again[place]) for place in checkpoint)
    written = load_encoder(run / "encoder.pt").state_dict()
    assert all(torch.equal(weights[name], written[name]) for name in weights)


def test_a_run_without_speech_outputs_does_not_advise_to_export_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config(tmp_path)
    values = yaml.safe_load(config.read_text()) | {name: {} for name in ("activity", "segmenter")}
    config.write_text(yaml.safe_dump(values))
    run, corpus = tmp_path / "run", build_corpus(tmp_path / "corpus")
    words = ["--corpus", str(corpus), "--config", str(config), "--workers", "0", "--run", str(run)]
    for outcome in ("done", "already finished"):
        assert main(words) == 0
        said = " ".join(capfd.readouterr().out.split())
        assert f"{outcome}, but for the speech and overlap outputs" in said
        assert f"another run with --init {run / 'encoder.pt'}" in said


def test_ctrl_c_ends_the_command_with_130_and_a_checkpoint(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "runs" / "tiny"
    config = tiny_config(tmp_path)
    config.write_text(config.read_text().replace("steps: 6", "steps: 100000"))
    arguments = ["--corpus", str(build_corpus(tmp_path / "corpus")), "--run", str(run)]
    main_thread = threading.main_thread().ident
    assert main_thread is not None

    def press_when_training() -> None:
        while not (run / "train.csv").is_file():  # written at step 50
            time.sleep(0.01)
        signal.pthread_kill(main_thread, signal.SIGINT)

    presser = threading.Thread(target=press_when_training, daemon=True)
    presser.start()
    assert main([*arguments, "--config", str(config), "--workers", "0"]) == 130
    presser.join()
    assert f"goes on from {run}" in capfd.readouterr().err
    assert 50 <= tensors(run / "checkpoint.pt")[".step"] < 100000
    assert not (run / "encoder.pt").exists()


def test_a_run_is_not_gone_on_with_under_another_configuration(
    tmp_path: Path, opened: tuple[TrainConfig, Corpus]
) -> None:
    config, corpus = opened
    Trainer(config, corpus, tmp_path, workers=0).train()
    before = (tmp_path / "checkpoint.pt").read_bytes()
    other = replace(config, optimiser=replace(config.optimiser, steps=9))
    with pytest.raises(EarmarkError, match=r"optimiser\.steps 6 \(now 9\).*--run"):
        Trainer(other, corpus, tmp_path, workers=0).train()
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def without_one(corpus: Corpus) -> Corpus:
    return replace(corpus, train=corpus.train[1:], train_indices=corpus.train_indices[1:])


def turned_round(corpus: Corpus) -> Corpus:
    return replace(corpus, train=corpus.train[::-1])


def named_otherwise(corpus: Corpus) -> Corpus:
    return replace(corpus, train=[replace(u, speaker=f"a{u.speaker}") for u in corpus.train])


@pytest.mark.parametrize("change", [without_one, turned_round, named_otherwise])
def test_a_run_is_not_gone_on_with_on_a_corpus_that_has_changed(
    tmp_path: Path,
    opened: tuple[TrainConfig, Corpus],
    change: Callable[[Corpus], Corpus],
) -> None:
    config, corpus = opened
    with pytest.raises(KeyboardInterrupt):
        Interrupted(config, corpus, tmp_path, workers=0).train()
    with pytest.raises(EarmarkError, match=r"begun with other utterances.*--run"):
        Trainer(config, change(corpus), tmp_path, workers=0).train()
    Trainer(config, corpus, tmp_path, workers=0).train()


def test_a_corpus_may_be_moved_while_a_run_is_stopped(tmp_path: Path) -> None:
    config, corpus = open_corpus(tmp_path / "here")
    with pytest.raises(KeyboardInterrupt):
        Interrupted(config, corpus, tmp_path / "run", workers=0).train()
    (tmp_path / "here" / "corpus").rename(tmp_path / "there")
    moved = Corpus.open(tmp_path / "there", tmp_path / "cache", config)
    Trainer(config, moved, tmp_path / "run", workers=0).train()


@pytest.mark.parametrize("text", [None, "", "{}", '{"config": 3}'])
def test_a_run_that_does_not_say_how_it_was_begun_is_not_gone_on_with(
    tmp_path: Path, opened: tuple[TrainConfig, Corpus], text: str | None
) -> None:
    config, corpus = opened
    (tmp_path / "hearings").mkdir()
    (tmp_path / "hearings" / "0.f32").touch()
    if text is not None:
        (tmp_path / "provenance.json").write_text(text)
    with pytest.raises(EarmarkError, match=r"provenance\.json should say how .*--run"):
        Trainer(config, corpus, tmp_path, workers=0).train()


class Killed(Trainer):
    """Ends at its 110th step without a word; at its 60th it may have left a checkpoint."""

    saves = True

    def _update(self, batches: Sequence[Batch]) -> dict[str, float]:
        if self.step == 60 and self.saves:
            self._save()
        if self.step == 110:
            raise SystemExit
        return super()._update(batches)


@pytest.mark.parametrize("saves", [True, False])
def test_a_run_that_was_killed_logs_no_step_twice(
    tmp_path: Path, opened: tuple[TrainConfig, Corpus], saves: bool
) -> None:
    config, corpus = opened
    config = replace(config, optimiser=replace(config.optimiser, steps=120))
    killed = Killed(config, corpus, tmp_path, workers=0)
    killed.saves = saves
    with pytest.raises(SystemExit):
        killed.train()
    (tmp_path / "validation.csv").write_text("step,eer_3s\n100,9.0\n")
    Trainer(config, corpus, tmp_path, workers=0).train()
    rows = (tmp_path / "train.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "50", "100"]
    assert b"\r" not in (tmp_path / "train.csv").read_bytes()  # or rows end in two ways
    assert not (tmp_path / "validation.csv").exists()


@pytest.mark.parametrize("damage", [b"", b"no tensors", b"seed: 1\n", b"PK\3\4 no archive", None])
def test_a_damaged_checkpoint_is_named_without_advice_to_unpickle_it(
    tmp_path: Path, opened: tuple[TrainConfig, Corpus], damage: bytes | None
) -> None:
    config, corpus = opened
    with pytest.raises(KeyboardInterrupt):
        Interrupted(config, corpus, tmp_path, workers=0).train()
    save_encoder(settled_encoder(1), tmp_path / "encoder.pt")
    for path in (tmp_path / "checkpoint.pt", tmp_path / "encoder.pt"):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    with pytest.raises(EarmarkError, match=r"checkpoint\.pt: it is damaged.*--run") as error:
        Trainer(config, corpus, tmp_path, workers=0).train()
    assert "weights_only" not in str(error.value)
    with pytest.raises(EarmarkError, match=r"encoder\.pt is not .*: it is damaged") as error:
        load_encoder(tmp_path / "encoder.pt")
    assert "weights_only" not in str(error.value)


@pytest.mark.parametrize("content", [torch.zeros(3), [1], {"config": {}, "weights": {1: 2}}])
def test_what_is_saved_but_no_encoder_is_named(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "encoder.pt")
    with pytest.raises(EarmarkError, match=r"encoder\.pt is not an encoder of this version"):
        load_encoder(tmp_path / "encoder.pt")


@pytest.mark.parametrize("content", [{"step": 3, "encoder": {}}, {"step": 3, "encoder": 3}, [3]])
def test_a_checkpoint_of_another_shape_is_named(
    tmp_path: Path, opened: tuple[TrainConfig, Corpus], content: object
) -> None:
    config, corpus = opened
    trainer = Trainer(config, corpus, tmp_path, workers=0)
    trainer.train()
    torch.save(content, trainer.run.checkpoint)
    with pytest.raises(EarmarkError, match=r"cannot go on from .*checkpoint\.pt"):
        Trainer(config, corpus, tmp_path, workers=0).train()


def test_audio_that_has_changed_is_decoded_again(tmp_path: Path) -> None:
    path, cache = tmp_path / "a.wav", tmp_path / "cache"
    for level in (0.25, 0.5):
        soundfile.write(path, np.full(int(16000 * level), level, dtype=np.float32), 16000)
        audio = Waveforms.load([path], cache)[0]
        np.testing.assert_allclose(audio, level, atol=1e-3)
        assert len(audio) == 16000 * level


@pytest.mark.parametrize("left", ["", "[16000, 16", "[16000]", "{}", "[16000, null]", "\0\0"])
def test_decoded_audio_whose_index_was_cut_short_is_decoded_again(
    tmp_path: Path, left: str
) -> None:
    paths, cache = [tmp_path / "a.wav", tmp_path / "b.wav"], tmp_path / "cache"
    for path in paths:
        soundfile.write(path, np.full(16000, 0.25, dtype=np.float32), 16000)
    Waveforms.load(paths, cache)
    (index,) = cache.glob("*.json")
    index.write_text(left)
    waveforms = Waveforms.load(paths, cache)
    assert [waveforms.length(i) for i in range(2)] == [16000, 16000]
    assert json.loads(index.read_text()) == [16000, 16000]


@pytest.mark.parametrize("left", [None, 0, 31999])
def test_decoded_audio_that_was_cut_short_is_decoded_again(
    tmp_path: Path, left: int | None
) -> None:
    """By a copy that was broken off, or a power cut."""
    path, cache = tmp_path / "a.wav", tmp_path / "cache"
    soundfile.write(path, np.full(16000, 0.25, dtype=np.float32), 16000)
    Waveforms.load([path], cache)
    (samples,) = cache.glob("*.pcm")
    if left is None:
        samples.unlink()
    else:
        samples.write_bytes(samples.read_bytes()[:left])
    np.testing.assert_allclose(Waveforms.load([path], cache)[0], 0.25, atol=1e-3)


def test_an_index_of_decoded_audio_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, cache = tmp_path / "a.wav", tmp_path / "cache"
    soundfile.write(path, np.full(16000, 0.25, dtype=np.float32), 16000)

    def cut_short(path: Path, text: str, encoding: str | None = None) -> None:
        path.write_bytes(text.encode()[:3])
        raise KeyboardInterrupt

    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(Path, "write_text", cut_short)
        Waveforms.load([path], cache)
    assert not list(cache.glob("*.json"))


def test_the_curves_are_drawn_from_as_much_as_there_is(tmp_path: Path) -> None:
    plot_curves(tmp_path)
    empty = (tmp_path / "curves.png").read_bytes()
    assert empty.startswith(b"\x89PNG")
    rows = "".join(f"{50 * i},{1 / i},{1 / i},{10 / i}\n" for i in range(1, 40))
    (tmp_path / "train.csv").write_text("step,loss,distillation,classification\n" + rows)
    (tmp_path / "validation.csv").write_text("step,eer_3s,min_dcf_3s\n500,9.5,0.8\n1000,8,0.7\n")
    plot_curves(tmp_path)
    assert (tmp_path / "curves.png").read_bytes() != empty
    assert sorted(p.name for p in tmp_path.glob("*.png")) == ["curves.png"]


def test_a_term_without_weight_has_no_curve(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("step,loss,distillation\n50,1.0,1.0\n100,0.9,0.9\n")
    plot_curves(tmp_path)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
