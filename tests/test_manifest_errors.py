"""Risk: a corpus with something amiss ends in a traceback, or is trained on as if it were right."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_corpus import batches_of, build_corpus, tiny_config

from edge.config_file import load_config
from edge.errors import EarmarkError
from train.cli import main
from train.config import TrainConfig
from train.corpus import Corpus
from train.lists import read_list
from train.manifest import COLUMNS, Utterance, read_manifest
from train.teacher import fuse_teachers

HEADER = ",".join(COLUMNS)
GOOD = "a/1.flac,a,common_voice,2.5,CC0,en,48000"


def write(folder: Path, *lines: str) -> Path:
    path = folder / "train.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_good_manifest_is_read_as_it_stands(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER, GOOD, 'b/"2".opus,,"x, y",0.533,CC0,,8000')
    first, second = read_manifest(path)
    assert first == Utterance(tmp_path.resolve() / "a/1.flac", "a", "common_voice", 2.5)
    assert second == Utterance(tmp_path.resolve() / 'b/"2".opus', "", "x, y", 0.533)
    assert read_manifest(write(tmp_path, HEADER)) == []


def test_columns_may_stand_in_any_order_with_others_between(tmp_path: Path) -> None:
    columns = ["extra", *reversed(COLUMNS)]
    path = write(tmp_path, ",".join(columns), ",".join(["?", *reversed(GOOD.split(","))]))
    assert read_manifest(path) == read_manifest(write(tmp_path, HEADER, GOOD))


def test_a_missing_manifest(tmp_path: Path) -> None:
    with pytest.raises(EarmarkError, match=r"no manifest at .*train\.csv") as error:
        read_manifest(tmp_path / "train.csv")
    assert "--corpus" in error.value.remedy
    with pytest.raises(EarmarkError, match="no manifest at"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("header", "missing"),
    [
        ("path,speaker,corpus,licence,language,source_rate", "seconds"),
        ("file,speaker,corpus,seconds,licence,language,rate", "path, source_rate"),
        (GOOD, ", ".join(sorted(COLUMNS))),  # no header at all
        ("", ", ".join(sorted(COLUMNS))),
    ],
)
def test_missing_columns(tmp_path: Path, header: str, missing: str) -> None:
    path = write(tmp_path, header, GOOD)
    with pytest.raises(EarmarkError) as error:
        read_manifest(path)
    assert error.value.what == f"{path} lacks the columns {missing}"
    assert error.value.remedy == f"A manifest has the columns {', '.join(COLUMNS)}"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (GOOD.replace("2.5", "long"), "could not convert string to float: 'long'"),
        (GOOD.replace("2.5", ""), "could not convert string to float: ''"),
        (GOOD.replace("2.5", "nan"), "must be positive, got nan"),
        (GOOD.replace("2.5", "inf"), "must be positive, got inf"),
        (GOOD.replace("2.5", "0"), "must be positive, got 0.0"),
        (GOOD.replace("2.5", "-1"), "must be positive, got -1.0"),
        (GOOD.replace("48000", "48 kHz"), "invalid literal for int.*'48 kHz'"),
        (GOOD.replace("48000", "0"), "must be positive, got 2.5 and 0"),
        (GOOD.replace("a/1.flac", ""), "the path is empty"),
        ("a/1.flac,a,common_voice", "there is no seconds, no licence, no language"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, reason: str) -> None:
    path = write(tmp_path, HEADER, GOOD, line, GOOD)
    with pytest.raises(EarmarkError, match=f"train.csv, line 3: .*{reason}"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        ([HEADER, GOOD, f'"{GOOD}', *[GOOD] * 9], 3),
        ([HEADER, GOOD, f'"{GOOD}', *[GOOD] * 9000], 3),  # longer than csv takes a field to be
        ([HEADER, GOOD, f'"{GOOD}', GOOD, f'"{GOOD}'], 3),
        ([HEADER, f'{GOOD},"more', *[GOOD] * 9], 2),
        ([f'"{HEADER}', *[GOOD] * 9000], 1),
    ],
)
def test_a_quotation_mark_without_its_pair_swallows_no_lines(
    tmp_path: Path, lines: list[str], number: int
) -> None:
    path = write(tmp_path, *lines)
    with pytest.raises(EarmarkError, match=f"train.csv, line {number}: .*quotation mark"):
        read_manifest(path)


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    expected = read_manifest(write(tmp_path, HEADER, GOOD))
    assert read_manifest(write(tmp_path, f"\ufeff{HEADER}", GOOD)) == expected


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_bytes(f"{HEADER}\nM\xfcller.flac".encode("latin-1"))
    with pytest.raises(EarmarkError, match="is not UTF-8 text"):
        read_manifest(path)


def test_each_part_of_a_corpus_that_is_missing_or_wrong_is_named(tmp_path: Path) -> None:
    folder = build_corpus(tmp_path / "corpus")
    config = load_config(TrainConfig, tiny_config(tmp_path))

    def refused(match: str) -> None:
        with pytest.raises(EarmarkError, match=match):
            Corpus.open(folder, tmp_path / "cache", config)

    teacher = folder / "teachers" / "train.resnet34.npy"
    rows = np.load(teacher)
    teacher.unlink()
    refused(r"no teacher embeddings at .*train.resnet34.npy.*data\.teachers: \[\]")
    for name in ("train.resnet34", "train.campplus"):
        path = folder / "teachers" / f"{name}.npy"
        whole = rows if name == "train.resnet34" else np.load(path)
        np.save(path, whole[:-2])
    refused(f"train.campplus.npy has {len(rows) - 2} teacher embeddings for {len(rows)} utterances")

    folder = build_corpus(tmp_path / "third")
    shutil.rmtree(folder / "turns")
    refused("need the timings of real meetings, and .*ami is missing")
    config = replace(config, activity=replace(config.activity, talk_probability=0.0))
    refused("need the timings of real meetings")
    config = replace(config, segmenter=replace(config.segmenter, steps=0))
    assert Corpus.open(folder, tmp_path / "cache", config).timings == []


def without(config: TrainConfig, **probabilities: float) -> TrainConfig:
    """The settings without mixtures and talks, and with other probabilities of augmentation."""
    return replace(
        config,
        augment=replace(config.augment, **probabilities),  # type: ignore[arg-type]
        activity=replace(config.activity, steps=0),
        segmenter=replace(config.segmenter, steps=0),
    )


def test_noises_and_rooms_are_wanted_by_the_settings_that_use_them_alone(tmp_path: Path) -> None:
    folder = build_corpus(tmp_path / "corpus")
    shutil.rmtree(folder / "noise")
    for path in (folder / "rir").iterdir():
        path.unlink()
    config = load_config(TrainConfig, tiny_config(tmp_path))

    def refused(config: TrainConfig, match: str) -> None:
        with pytest.raises(EarmarkError, match=match):
            Corpus.open(folder, tmp_path / "cache", config)

    quiet = without(config, noise_probability=0.0, room_probability=0.0)
    refused(without(config), r"no audio in .*noise, .* for augment\.noise_probability\. Put")
    refused(without(config, noise_probability=0.0), r"in .*rir, .* for augment\.room_probability\.")
    refused(replace(quiet, activity=config.activity), r"in .*noise, .* for activity\.steps\.")
    refused(replace(quiet, segmenter=config.segmenter), r"in .*noise, .* for segmenter\.steps\.")
    corpus = Corpus.open(folder, tmp_path / "cache", quiet)
    assert bool(batches_of(quiet, corpus)[0].fbank.isfinite().all())


def test_an_utterance_without_teachers_needs_a_label(tmp_path: Path) -> None:
    folder = build_corpus(tmp_path / "corpus")
    for name in ("train", "unlabelled"):
        path = folder / "teachers" / f"{name}.campplus.npy"
        rows = np.load(path)
        rows[1] = np.nan
        np.save(path, rows)
    corpus = Corpus.open(
        folder, tmp_path / "cache", load_config(TrainConfig, tiny_config(tmp_path))
    )
    first_unlabelled = len(read_manifest(folder / "train.csv"))
    assert {0, 1, 2, first_unlabelled} <= set(corpus.train_indices)
    assert first_unlabelled + 1 not in corpus.train_indices
    assert not np.isfinite(corpus.targets[1]).any()


Arrays = dict[str, np.ndarray]  # of a list each


def all_unknown(arrays: Arrays) -> None:
    for rows in arrays.values():
        rows[:] = np.nan


def all_alike(arrays: Arrays) -> None:
    for rows in arrays.values():
        rows[:] = 1.0


def few_known(arrays: Arrays) -> None:
    arrays["train"][7:] = np.nan
    arrays["unlabelled"][:] = np.nan


def shifted(arrays: Arrays) -> None:
    arrays["train"] = arrays["train"][:-1]
    arrays["unlabelled"] = np.concatenate([arrays["train"][-1:], arrays["unlabelled"]])


def of_two_sizes(arrays: Arrays) -> None:
    arrays["unlabelled"] = arrays["unlabelled"][:, :-1]


def flat(arrays: Arrays) -> None:
    arrays["train"] = arrays["train"][:, 0]


def of_words(arrays: Arrays) -> None:
    arrays["train"] = arrays["train"].astype(str)


def listed(teachers: Path, *stems: str) -> dict[str, int]:
    """Utterances of each list of the corpus that these teachers belong to."""
    return {stem: len(read_list(teachers.parent, stem)) for stem in stems}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (all_unknown, "know 0 utterances by 32 values, targets of 8 values"),
        (all_alike, "know 0 utterances by 32 values, targets of 8 values"),
        (few_known, "know 7 utterances by 32 values, targets of 8 values"),
        (shifted, r"train\.campplus\.npy has \d+ teacher embeddings for \d+ utterances"),
        (of_two_sizes, "the teacher campplus have rows of 11 and 12 values"),
        (flat, r"train\.campplus\.npy is no array of embeddings"),
        (of_words, r"train\.campplus\.npy is no array of embeddings"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_teachers_that_cannot_teach_are_refused(
    tmp_path: Path, spoil: Callable[[Arrays], None], said: str
) -> None:
    folder = build_corpus(tmp_path / "corpus") / "teachers"
    paths = {stem: folder / f"{stem}.campplus.npy" for stem in ("train", "unlabelled")}
    arrays = {stem: np.load(path) for stem, path in paths.items()}
    spoil(arrays)
    for stem, path in paths.items():
        np.save(path, arrays[stem])
    with pytest.raises(EarmarkError, match=said):
        fuse_teachers(folder, ["campplus", "resnet34"], listed(folder, "train", "unlabelled"), 8)


@pytest.mark.parametrize("content", [b"", b"no array", b"PK\3\4 no archive", b"\x93NUMPY\1\0"])
def test_a_teachers_file_that_is_no_array_is_named(tmp_path: Path, content: bytes) -> None:
    folder = build_corpus(tmp_path / "corpus") / "teachers"
    (folder / "train.campplus.npy").write_bytes(content)
    with pytest.raises(EarmarkError, match=r"train\.campplus\.npy is no array of embed") as error:
        fuse_teachers(folder, ["campplus"], listed(folder, "train"), 8)
    assert "pickle" not in str(error.value)


def test_targets_of_more_values_than_the_teachers_have_are_refused(tmp_path: Path) -> None:
    folder = build_corpus(tmp_path / "corpus") / "teachers"
    with pytest.raises(EarmarkError, match="by 12 values, targets of 13 values"):
        fuse_teachers(folder, ["campplus"], listed(folder, "train"), 13)


@pytest.mark.filterwarnings("error")
def test_an_embedding_that_is_not_finite_or_zero_is_unknown(tmp_path: Path) -> None:
    folder = build_corpus(tmp_path / "corpus") / "teachers"
    path = folder / "train.campplus.npy"
    rows = np.load(path)
    targets = []
    for row in (np.nan, [*rows[3, :-1], np.inf], 0.0):
        rows[3] = row
        np.save(path, rows)
        targets.append(fuse_teachers(folder, ["campplus", "resnet34"], listed(folder, "train"), 8))
    for spoilt in targets:
        np.testing.assert_array_equal(spoilt, targets[0])
        assert list(np.flatnonzero(np.isnan(spoilt).any(axis=1))) == [3]


def test_the_command_prints_one_line_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--corpus", str(tmp_path), "--run", str(tmp_path / "run")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("earmark-train: no list 'train' in")
    assert not (tmp_path / "run").exists()
