"""RTTM: what is written is read again; what is malformed is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voices import TRUTH

from edge.errors import EarmarkError
from edge.printable import printable
from edge.rttm import Turn, format_rttm, read_rttm

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
milliseconds = st.integers(0, 10**8)
turns = st.lists(
    st.builds(
        lambda start, length, who: Turn(start / 1000, (start + length) / 1000, who),
        milliseconds,
        milliseconds,
        names,
    ),
    max_size=10,
)


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "x.rttm"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@settings(deadline=None)
@given(turns=turns, recording=names)
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, turns: list[Turn], recording: str
) -> None:
    text = format_rttm(turns, recording)
    assert text.count("\n") == len(turns)
    assert text.replace("\n", "").isprintable()
    assert all(len(line.split()) == 10 for line in text.splitlines())
    read = read_rttm(written(tmp_path_factory.getbasetemp(), text))
    expected = sorted(
        (Turn(t.start, t.end, printable("_".join(t.speaker.split())) or "_") for t in turns),
    )
    assert len(read) == len(expected)
    key = lambda t: (round(t.start, 3), round(t.end, 3), t.speaker)  # noqa: E731
    assert sorted(map(key, read)) == sorted(map(key, expected))


def test_a_name_in_it_cannot_steer_the_terminal() -> None:
    text = format_rttm([Turn(0, 1, "ada")], "\x1b]0;mine\x07\u202e one")
    assert text == "SPEAKER ?]0;mine??_one 1 0.000 1.000 <NA> <NA> ada <NA> <NA>\n"


@pytest.mark.parametrize(
    "line",
    [
        "SPEAKER",
        "SPEAKER x 1 0.0",
        "SPEAKER x 1 0.0 1.0 <NA> <NA>",
        "SPEAKER x 1 zero 1.0 <NA> <NA> ada <NA> <NA>",
        "SPEAKER x 1 0.0 long <NA> <NA> ada <NA> <NA>",
        "SPEAKER x 1 nan 1.0 <NA> <NA> ada <NA> <NA>",
        "SPEAKER x 1 0.0 inf <NA> <NA> ada <NA> <NA>",
        "SPEAKER x 1 -inf 1.0 <NA> <NA> ada <NA> <NA>",
        "SPEAKER x 1 3.0 -1.0 <NA> <NA> ada <NA> <NA>",
    ],
)
def test_a_malformed_line_is_told(tmp_path: Path, line: str) -> None:
    good = "SPEAKER x 1 0.0 1.0 <NA> <NA> ada <NA> <NA>"
    path = written(tmp_path, f"{good}\n{line}\n{good}\n")
    with pytest.raises(EarmarkError, match=r"x\.rttm, line 2: .*SPEAKER"):
        read_rttm(path)


def test_other_lines_are_passed_over(tmp_path: Path) -> None:
    text = (
        "\ufeffSPEAKER x 1 1.5 1.0 <NA> <NA> ben <NA> <NA>\r\n"
        ";; a comment\n\n"
        "SPKR-INFO x 1 <NA> <NA> <NA> unknown ada <NA>\n"
        "  SPEAKER x 1 0 0.25 <NA> <NA> ada\n"
    )
    assert read_rttm(written(tmp_path, text)) == [Turn(0, 0.25, "ada"), Turn(1.5, 2.5, "ben")]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00S", b"SPEAKER x \x80"])
def test_what_is_no_text_is_told(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(EarmarkError, match=r"cannot read the RTTM file .*x\.rttm"):
        read_rttm(written(tmp_path, content))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "no.rttm", tmp_path):
        with pytest.raises(EarmarkError, match="cannot read the RTTM file"):
            read_rttm(path)
    assert read_rttm(written(tmp_path, "")) == []


def test_the_bundled_truth_goes_through_unchanged() -> None:
    assert format_rttm(read_rttm(TRUTH), "conversation") == TRUTH.read_text(encoding="ascii")


def test_turns_of_several_recordings_are_not_drawn_as_one(tmp_path: Path) -> None:
    lines = [
        f"SPEAKER {name} 1 {start} 1.0 <NA> <NA> ada <NA> <NA>\n"
        for name, start in (("monday", 0.0), ("my_week", 3.0), ("monday", 5.0))
    ]
    path = written(tmp_path, "".join(lines))
    assert [turn.start for turn in read_rttm(path, "monday")] == [0.0, 5.0]
    assert [turn.start for turn in read_rttm(path, "my week")] == [3.0]
    with pytest.raises(EarmarkError, match="2 recordings, and none is friday"):
        read_rttm(path, "friday")
    alone = written(tmp_path, lines[0])
    assert len(read_rttm(alone, "friday")) == 1  # a truth by another name is its truth
