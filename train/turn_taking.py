"""Who speaks when in a meeting that never was, after the timing of real ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from math import ceil
from pathlib import Path

from numpy.random import Generator

from edge.errors import EarmarkError
from edge.rttm import Turn, read_rttm

SEATS = 4  # at the tables of the real meetings
PART_SECONDS = 300.0
LONGEST_SILENCE = 3.0  # seconds
SHORTEST_TURN = 0.2  # seconds; of what the edge of an excerpt leaves
INTERRUPTED = 0.35  # share of turns that begin before another's has ended
EARLY_SECONDS = (0.3, 1.5)  # by how much
ANSWERED = 0.5  # share of long turns into which somebody says a word
ANSWER_SECONDS = (0.4, 1.5)
LONG_TURN = 3.0  # seconds
DRAWS = 10  # of which that is taken in which the quietest at the table says most


def read_timings(folder: Path) -> list[list[Turn]]:
    """The turns of every real meeting in a folder of RTTM files.

    Raises:
        EarmarkError: there are none.
    """
    timings = [turns for path in sorted(folder.glob("*.rttm")) if (turns := read_rttm(path))]
    if not timings:
        raise EarmarkError(f"no RTTM files with turns in {folder}", "Check --corpus")
    return timings


def turn_taking(
    timings: Sequence[list[Turn]], speakers: int, seconds: float, random: Generator
) -> list[Turn]:
    """Turns of the speakers '0', '1' and so on, by their start: excerpts one after another.

    Four sit at a real table. So the talk goes on in parts of five minutes at most, each timed like
    a stretch of a real meeting, and from one to the next two get up and the next two sit down.
    The parts are short enough for all to have sat there.
    """
    parts = max(ceil(seconds / PART_SECONDS), ceil((speakers - 2) / 2))
    length = seconds / parts
    turns = []
    for part in range(parts):
        seated = [(2 * part + seat) % speakers for seat in range(min(speakers, SEATS))]
        draws = [excerpt(timings, len(seated), length, random) for _ in range(DRAWS)]
        for turn in max(draws, key=partial(_least, seats=len(seated))):
            start, end = (part * length + time for time in (turn.start, turn.end))
            turns.append(Turn(start, end, str(seated[int(turn.speaker)])))
    return sorted(turns)


def excerpt(
    timings: Sequence[list[Turn]], seats: int, seconds: float, random: Generator
) -> list[Turn]:
    """A random stretch of what those who speak most in a random meeting say, named by seat."""
    turns = timings[int(random.integers(len(timings)))]
    spoken: Counter[str] = Counter()
    for turn in turns:
        spoken[turn.speaker] += round(1000 * (turn.end - turn.start))
    names = [name for name, _ in spoken.most_common(seats)]
    kept = _closed_up([turn for turn in turns if turn.speaker in names])
    begin = random.uniform(0.0, max(0.0, max(turn.end for turn in kept) - seconds))
    seat = {name: str(i) for i, name in enumerate(random.permutation(names).tolist())}
    inside = (
        Turn(max(t.start - begin, 0.0), min(t.end - begin, seconds), seat[t.speaker]) for t in kept
    )
    return [turn for turn in inside if turn.end - turn.start >= SHORTEST_TURN]


def with_overlap(turns: Sequence[Turn], random: Generator) -> list[Turn]:
    """The same talk with interruptions and words thrown in: the real timings hold one voice only.

    Nobody talks over themselves. About a seventh of the speech is overlapped, as at real tables.
    """
    talk: list[Turn] = []
    free: dict[str, float] = {}  # by speaker, from when on they are silent
    speakers = sorted({turn.speaker for turn in turns})
    for turn in sorted(turns):
        start = turn.start
        if talk and talk[-1].speaker != turn.speaker and random.random() < INTERRUPTED:
            start = max(talk[-1].start, start - random.uniform(*EARLY_SECONDS))
        start = max(start, free.get(turn.speaker, 0.0))
        if turn.end - start < SHORTEST_TURN:
            continue
        talk.append(Turn(start, turn.end, turn.speaker))
        free[turn.speaker] = turn.end
        others = [s for s in speakers if s != turn.speaker]
        if others and turn.end - turn.start > LONG_TURN and random.random() < ANSWERED:
            other = others[int(random.integers(len(others)))]
            length = random.uniform(*ANSWER_SECONDS)
            begin = max(random.uniform(turn.start, turn.end - length), free.get(other, 0.0))
            if begin + length <= turn.end:
                talk.append(Turn(begin, begin + length, other))
                free[other] = begin + length
    return sorted(talk)


def _closed_up(turns: Sequence[Turn]) -> list[Turn]:
    """The turns, by their start, without the long silences that others have left."""
    closed, cut, heard = [], 0.0, 0.0
    for turn in turns:
        cut += max(0.0, turn.start - heard - LONGEST_SILENCE)
        heard = max(heard, turn.end)
        closed.append(Turn(turn.start - cut, turn.end - cut, turn.speaker))
    return closed


def _least(turns: Sequence[Turn], seats: int) -> float:
    """Seconds of whoever speaks least."""
    return min(
        sum(turn.end - turn.start for turn in turns if turn.speaker == str(seat))
        for seat in range(seats)
    )
