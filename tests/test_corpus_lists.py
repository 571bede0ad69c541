"""Risk: a corpus in another common form cannot be trained on, or is read as what it is not."""

from __future__ import annotations

import csv
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from tiny_corpus import YAML, build_corpus, tiny_config

from edge.config_file import load_config
from edge.errors import EarmarkError
from edge.sources.file import SUFFIXES
from train.cli import main
from train.config import TrainConfig
from train.corpus import Corpus
from train.lists import read_list
from train.manifest import is_held_out
from train.trainer import Trainer
from train.waveforms import Waveforms, _read_ahead, read_audio


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_corpus(tmp_path_factory.mktemp("built") / "corpus")


def rows(corpus: Path) -> list[dict[str, str]]:
    with (corpus / "train.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def without_csv(built: Path, folder: Path) -> tuple[Path, list[dict[str, str]]]:
    """A copy of the corpus whose training list is gone, and what stood in it."""
    corpus = shutil.copytree(built, folder / "corpus")
    lines = rows(corpus)
    (corpus / "train.csv").unlink()
    return corpus, lines


def as_kaldi(corpus: Path, lines: list[dict[str, str]]) -> None:
    (corpus / "train").mkdir(exist_ok=True)
    scp = "".join(f"u{i:03} {corpus / line['path']}\n" for i, line in enumerate(lines))
    (corpus / "train" / "wav.scp").write_text(scp)
    spk = "".join(f"u{i:03} {line['speaker']}\n" for i, line in enumerate(lines))
    (corpus / "train" / "utt2spk").write_text(spk)


def as_folders(corpus: Path, lines: list[dict[str, str]]) -> None:
    for i, line in enumerate(lines):
        folder = corpus / "train" / line["speaker"].replace("/", "-") / "session"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(corpus / line["path"], folder / f"{i:03}.flac")


def test_a_kaldi_folder_says_what_the_manifest_said(built: Path, tmp_path: Path) -> None:
    expected = read_list(built, "train")
    corpus, lines = without_csv(built, tmp_path)
    as_kaldi(corpus, lines)
    found = read_list(corpus, "train")
    assert [u.speaker for u in found] == [u.speaker for u in expected]
    assert [u.seconds for u in found] == pytest.approx([u.seconds for u in expected], abs=0.01)
    assert all(u.path.is_file() for u in found)
    (corpus / "train" / "utt2spk").unlink()
    assert {u.speaker for u in read_list(corpus, "train")} == {""}


def test_folders_of_speakers_say_what_the_manifest_said(built: Path, tmp_path: Path) -> None:
    corpus, lines = without_csv(built, tmp_path)
    as_folders(corpus, lines)
    found = read_list(corpus, "train")
    expected = {line["speaker"].replace("/", "-") for line in lines}
    assert {u.speaker for u in found} == expected
    assert len(found) == len(lines)


def test_all_that_the_runtime_reads_is_taken_from_folders(tmp_path: Path) -> None:
    """Recordings named .oga were left out, without a word."""
    folder = tmp_path / "train" / "ada"
    folder.mkdir(parents=True)
    for suffix in SUFFIXES:
        (folder / f"0{suffix}").touch()
    assert {u.path.suffix for u in read_list(tmp_path, "train")} == SUFFIXES


@pytest.mark.parametrize("line", ["u1", "u1 sph2pipe x.sph |", "u0 a.wav\nu0 b.wav"])
def test_a_kaldi_line_that_cannot_be_read_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "wav.scp").write_text(line + "\n")
    with pytest.raises(EarmarkError, match=r"wav\.scp"):
        read_list(tmp_path, "train")


def test_a_kaldi_utterance_is_not_of_nobody_since_its_speaker_is_not_named(
    built: Path, tmp_path: Path
) -> None:
    corpus, lines = without_csv(built, tmp_path)
    as_kaldi(corpus, lines)
    path = corpus / "train" / "utt2spk"
    path.write_text(path.read_text().replace("u003 ", "u_003 "))
    with pytest.raises(EarmarkError, match=rf"utt2spk lacks 1 of the {len(lines)} .* u003"):
        read_list(corpus, "train")


def test_a_byte_order_mark_is_no_part_of_a_kaldi_key(built: Path, tmp_path: Path) -> None:
    corpus, lines = without_csv(built, tmp_path)
    as_kaldi(corpus, lines)
    expected = read_list(corpus, "train")
    path = corpus / "train" / "wav.scp"
    path.write_text("\ufeff" + path.read_text())
    assert read_list(corpus, "train") == expected


@pytest.mark.parametrize("name", ["wav.scp", "utt2spk"])
def test_a_kaldi_table_that_is_not_utf8_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "wav.scp").write_text("u0 a.wav\n")
    (tmp_path / "train" / name).write_bytes("u0 Müller\n".encode("latin-1"))
    with pytest.raises(EarmarkError, match=f"{name} is not UTF-8 text"):
        read_list(tmp_path, "train")


def test_kaldi_recordings_of_several_utterances_are_not_taken_whole(
    built: Path, tmp_path: Path
) -> None:
    corpus, lines = without_csv(built, tmp_path)
    as_kaldi(corpus, lines)
    (corpus / "train" / "segments").write_text("u000-1 u000 0.0 1.5\n")
    with pytest.raises(EarmarkError, match="segments cuts utterances out of the files"):
        read_list(corpus, "train")


def test_a_list_that_is_not_there_names_the_three_forms(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for name in ("train", "absent"):
        with pytest.raises(EarmarkError, match=r"wav\.scp.*audio files a speaker.*data\.lists"):
            read_list(tmp_path, name)


def test_audio_that_cannot_be_read_is_named_counted_and_left_out(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = shutil.copytree(built, tmp_path / "corpus")
    lines = rows(corpus)
    (corpus / lines[0]["path"]).write_bytes(b"this is no audio")
    (corpus / lines[1]["path"]).unlink()
    soundfile.write(corpus / lines[2]["path"], np.zeros(0, dtype=np.float32), 16000)
    broken = np.full((16000, 2), [0.1, np.nan], dtype=np.float32)
    soundfile.write(corpus / lines[3]["path"], broken, 16000, format="WAV", subtype="FLOAT")
    (corpus / "noise" / "click.wav").write_bytes(b"")
    config = load_config(TrainConfig, tiny_config(tmp_path))
    for _ in ("decoded", "found decoded"):
        opened = Corpus.open(corpus, tmp_path / "cache", config)
        said = capsys.readouterr().err
        for path in (*(line["path"] for line in lines[:4]), "click.wav"):
            assert sum(path in told for told in said.splitlines()) == 1
        assert f"4 of {len(opened.waveforms)} audio files are left out" in said
    assert len(opened.noises) == 1
    left = {str(u.path) for u in [*opened.train, *opened.held_out]}
    assert not any(path.endswith(line["path"]) for path in left for line in lines[:4])
    assert all(opened.waveforms.length(int(i)) for i in opened.train_indices)


def test_of_many_long_recordings_a_few_wait_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = list[Path]()

    def read(path: Path) -> np.ndarray:
        begun.append(path)
        return np.full(1, int(path.name), dtype=np.float32)

    monkeypatch.setattr("train.waveforms._read_or_name", read)
    paths = [Path(str(number)) for number in range(50)]
    with ThreadPoolExecutor() as pool:
        for number, audio in enumerate(_read_ahead(paths, pool, ahead=3)):
            assert audio[0] == number
            assert len(begun) <= number + 4
    assert set(begun) == set(paths)


def without_length(path: Path) -> None:
    """Make it the FLAC file of an encoder that wrote to a pipe."""
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the 36 bits of STREAMINFO's number of samples
    content[22:26] = bytes(4)
    path.write_bytes(content)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_flac_that_does_not_say_its_length_is_read_to_its_end(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "piped.flac"
    noise = np.random.default_rng(0).standard_normal((200_000, 2)) * 0.1
    soundfile.write(path, noise, rate)
    expected = read_audio(path)
    assert len(expected) == pytest.approx(200_000 * 16000 / rate, abs=1)
    without_length(path)
    np.testing.assert_array_equal(read_audio(path), expected)


def test_a_cut_flac_that_does_not_say_its_length_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, cut = tmp_path / "whole.flac", tmp_path / "cut.flac"
    for path in (whole, cut):
        soundfile.write(path, np.random.default_rng(0).standard_normal(200_000) * 0.1, 16000)
        without_length(path)
    cut.write_bytes(cut.read_bytes()[: whole.stat().st_size // 2])
    waveforms = Waveforms.load([whole, cut], tmp_path / "cache")
    assert [waveforms.length(i) for i in range(2)] == [200_000, 0]
    said = capsys.readouterr().err
    assert "cut.flac" in said and "1 of 2 audio files are left out" in said


def test_nothing_left_to_train_on_is_said(built: Path, tmp_path: Path) -> None:
    corpus = shutil.copytree(built, tmp_path / "corpus")
    config = load_config(TrainConfig, tiny_config(tmp_path))
    for name in ("train", "unlabelled"):
        header = (corpus / f"{name}.csv").read_text().splitlines()[0]
        (corpus / f"{name}.csv").write_text(header + "\n")
        for path in (corpus / "teachers").glob(f"{name}.*.npy"):
            np.save(path, np.load(path)[:0])
    with pytest.raises(EarmarkError, match="train, unlabelled are empty"):
        Corpus.open(corpus, tmp_path / "cache", config)


def test_a_corpus_whose_few_speakers_are_all_held_out_is_told_so(
    built: Path, tmp_path: Path
) -> None:
    corpus, lines = without_csv(built, tmp_path)
    as_folders(corpus, [line | {"speaker": "grace"} for line in lines])
    assert is_held_out("grace")
    with pytest.raises(EarmarkError, match=r"all .* utterances that can be read are held out"):
        Corpus.open(corpus, tmp_path / "cache", by_labels(tmp_path))


def test_one_speaker_alone_is_nothing_to_learn_from(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, lines = without_csv(built, tmp_path)
    as_folders(corpus, [line | {"speaker": "bob"} for line in lines])
    by_labels(tmp_path)
    run = tmp_path / "run"
    words = ["--corpus", str(corpus), "--config", str(tmp_path / "tiny.yaml"), "--workers", "0"]
    assert main([*words, "--run", str(run)]) == 1
    assert "bob is the only speaker to train on" in capsys.readouterr().err
    assert not run.exists()


def test_nobody_known_is_nothing_to_tell_apart(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Speech that teachers embedded, and a loss that does not listen to them."""
    corpus, lines = without_csv(built, tmp_path)
    as_kaldi(corpus, lines)
    (corpus / "train" / "utt2spk").unlink()
    config = tmp_path / "tiny.yaml"
    settings = yaml.safe_load(YAML)
    settings["loss"] = {"distillation": 0.0, "relational": 0.0, "classification": 1.0}
    config.write_text(yaml.safe_dump(settings))
    words = ["--corpus", str(corpus), "--config", str(config), "--workers", "0"]
    assert main([*words, "--run", str(tmp_path / "run")]) == 1
    assert "nobody is the only speaker to train on" in capsys.readouterr().err


def test_what_is_no_recording_of_a_speaker_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    speaker = tmp_path / "train" / "ann"
    speaker.mkdir(parents=True)
    noise = np.random.default_rng(1).normal(0, 0.1, 16000).astype(np.float32)
    soundfile.write(speaker / "0.mp3", noise, 16000)
    soundfile.write(speaker / "1.flac", noise, 16000)
    soundfile.write(speaker.parent / "2.flac", noise, 16000)
    (speaker / "3.m4a").write_bytes(b"")
    found = read_list(tmp_path, "train")
    assert [u.path.name for u in found] == ["0.mp3", "1.flac"]
    assert found[0].seconds == pytest.approx(1.0, abs=0.1)
    assert len(read_audio(found[0].path)) == pytest.approx(16000, abs=2400)
    assert "train: left out 1 .flac, 1 .m4a; expected" in capsys.readouterr().err


def test_folders_of_speakers_who_are_reported_on_are_not_trained_on(
    built: Path, tmp_path: Path
) -> None:
    corpus, lines = without_csv(built, tmp_path)
    as_folders(corpus, lines)
    name = next(line["speaker"] for line in lines).replace("/", "-")
    shutil.copytree(corpus / "train" / name, corpus / "dev" / name)
    with pytest.raises(EarmarkError, match=f"1 speakers stand in both splits, for example {name}"):
        Corpus.open(corpus, tmp_path / "cache", by_labels(tmp_path))


def by_labels(folder: Path, **loss: float) -> TrainConfig:
    """Settings of a corpus with no teacher."""
    path = tiny_config(folder)
    values = yaml.safe_load(path.read_text())
    values["data"] |= {"lists": ["train"], "teachers": []}
    if loss:
        values["loss"] = loss
        values["data"]["views"] = 2
    path.write_text(yaml.safe_dump(values))
    return load_config(TrainConfig, path)


def test_speech_of_nobody_known_is_trained_on_where_views_of_it_are_told_apart(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = shutil.copytree(built, tmp_path / "corpus")
    lines = [line | {"speaker": ""} for line in rows(corpus)]
    with (corpus / "train.csv").open("w", newline="", encoding="utf-8") as output:
        writer = csv.DictWriter(output, lines[0])
        writer.writeheader()
        writer.writerows(lines)
    by_label = by_labels(tmp_path)
    with pytest.raises(EarmarkError, match="nothing to train on"):
        Corpus.open(corpus, tmp_path / "cache", by_label)
    assert f"{len(lines)} utterances without speaker and teacher" in capsys.readouterr().err
    config = by_labels(tmp_path, classification=0.0, contrastive=1.0)
    opened = Corpus.open(corpus, tmp_path / "cache", config)
    assert len(opened.train) == len(lines)
    trainer = Trainer(config, opened, tmp_path / "run", workers=0)
    before = trainer.encoder.stem.linear.weight.detach().clone()
    after = trainer.train().stem.linear.weight.detach()
    assert after.isfinite().all()
    assert not np.array_equal(before.numpy(), after.numpy())


def test_a_corpus_without_a_teacher_is_trained_on_by_its_labels(
    built: Path, tmp_path: Path
) -> None:
    corpus, lines = without_csv(built, tmp_path)
    as_folders(corpus, lines)
    shutil.rmtree(corpus / "teachers")
    config = by_labels(tmp_path)
    trainer = Trainer(
        config, Corpus.open(corpus, tmp_path / "cache", config), tmp_path / "run", workers=0
    )
    before = trainer.encoder.stem.linear.weight.clone()
    after = trainer.train().stem.linear.weight
    assert after.isfinite().all()
    assert not np.array_equal(before.detach().numpy(), after.detach().numpy())
