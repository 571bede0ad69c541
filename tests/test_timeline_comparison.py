"""Who spoke when, next to the truth: the best mapping of labels, and honest shares."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.comparison import compare
from edge.rttm import Turn

TRUTH = [Turn(0, 4, "ada"), Turn(5, 9, "ben"), Turn(10, 14, "ada"), Turn(15, 17, "cleo")]


def test_a_perfect_hearing_under_other_names_is_all_right() -> None:
    names = {"ada": "speaker3", "ben": "speaker1", "cleo": "speaker2"}
    result = compare(TRUTH, [Turn(t.start, t.end, names[t.speaker]) for t in TRUTH])
    assert result.names == names
    assert result.right == 1.0
    assert (result.speakers, result.labels, result.speech) == (3, 3, 14)
    assert all(turn.right and turn.share == 1.0 for turn in result.turns)


def test_hearing_nothing_is_nothing_right() -> None:
    result = compare(TRUTH, [])
    assert (result.right, result.names, result.labels) == (0.0, {}, 0)
    assert [(turn.label, turn.share, turn.right) for turn in result.turns] == [(None, 0, False)] * 4


def test_no_truth_is_no_division_by_zero() -> None:
    assert compare([], [Turn(0, 1, "ada")]).right == 0.0


def test_an_enrolled_name_given_to_another_person_is_wrong() -> None:
    """A plain optimal mapping would call this perfect."""
    swap = {"ada": "ben", "ben": "ada", "cleo": "cleo"}
    result = compare(TRUTH, [Turn(t.start, t.end, swap[t.speaker]) for t in TRUTH])
    assert result.names == {"cleo": "cleo"}
    assert result.right == pytest.approx(2 / 14)
    assert [turn.right for turn in result.turns] == [False, False, False, True]


def test_half_a_turn_is_half_right() -> None:
    heard = [Turn(0, 2, "speaker1"), Turn(2, 4, "speaker2"), Turn(5, 9, "speaker2")]
    result = compare(TRUTH[:2], heard)
    assert result.names == {"ada": "speaker1", "ben": "speaker2"}
    assert result.right == pytest.approx(6 / 8)


def test_the_label_of_a_turn_is_the_one_that_covers_most_of_it() -> None:
    heard = [Turn(0, 1, "a"), Turn(1, 2.5, "b"), Turn(2.5, 3.5, "a"), Turn(5, 9, "b")]
    first = compare(TRUTH[:2], heard).turns[0]
    assert (first.label, first.share, first.right) == ("a", 0.5, True)


turns = st.lists(
    st.builds(
        lambda start, length, who: Turn(start, start + length, who),
        st.integers(0, 30),
        st.integers(1, 5),
        st.sampled_from("wxyz"),
    ),
    max_size=8,
)


@settings(deadline=None)
@given(truth=turns, heard=turns)
def test_the_mapping_is_the_best_of_all(truth: list[Turn], heard: list[Turn]) -> None:
    heard = [Turn(t.start, t.end, t.speaker.upper()) for t in heard]
    speakers, labels = sorted({t.speaker for t in truth}), sorted({t.speaker for t in heard})

    def shared(speaker: str, label: str) -> float:
        return sum(
            max(0.0, min(a.end, b.end) - max(a.start, b.start))
            for a in truth
            for b in heard
            if (a.speaker, b.speaker) == (speaker, label)
        )

    padded = labels + [""] * len(speakers)
    best = max(
        sum(itertools.starmap(shared, zip(speakers, choice, strict=True)))
        for choice in itertools.permutations(padded, len(speakers))
    )
    result = compare(truth, heard)
    assert result.right * result.speech == pytest.approx(best)
    assert len(set(result.names.values())) == len(result.names)
