"""Who spoke when, next to the truth: which label belongs to whom, and how much is right. Pure."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge.rttm import Turn


@dataclass(frozen=True)
class HeardTurn:
    """A true turn, the label that covers most of it (None: no label at all), and how much of it."""

    truth: Turn
    label: str | None
    share: float
    right: bool


@dataclass(frozen=True)
class Comparison:
    """What was heard, measured against the truth.

    `names` maps each true speaker to their label, where they have one. `right` is the share
    of true speech, in time, that bears its speaker's label.
    """

    turns: list[HeardTurn]
    names: dict[str, str]
    right: float
    speech: float
    speakers: int
    labels: int


def compare(truth: Sequence[Turn], heard: Sequence[Turn]) -> Comparison:
    """Compare turns, after the mapping of labels to speakers that makes the most time right.

    A label that is the name of a true speaker counts for nobody else: an enrolled voice that is
    given to another person is wrong. Exact; made for up to a dozen true speakers.
    """
    speakers = sorted({turn.speaker for turn in truth})
    labels = sorted({turn.speaker for turn in heard})
    shared = {
        (speaker, label): time
        for (speaker, label), time in sorted(shared_seconds(truth, heard).items())
        if label == speaker or label not in speakers
    }
    names = _best_mapping(shared)
    speech = sum(turn.end - turn.start for turn in truth)
    right = sum(shared[pair] for pair in names.items())
    turns = [_hear(turn, heard, names) for turn in truth]
    return Comparison(
        turns, names, right / speech if speech else 0.0, speech, len(speakers), len(labels)
    )


def shared_seconds(
    first: Iterable[Turn], second: Iterable[Turn]
) -> defaultdict[tuple[str, str], float]:
    """By a speaker of the first turns and one of the second, the time in which both have a turn.

    Only the turns that meet are compared, so that it costs little more than to sort them.
    """
    shared = defaultdict[tuple[str, str], float](float)
    waiting = deque(sorted(second))
    begun: list[Turn] = []
    for turn in sorted(first):
        while waiting and waiting[0].start < turn.end:
            begun.append(waiting.popleft())
        begun = [other for other in begun if other.end > turn.start]
        for other in begun:
            shared[turn.speaker, other.speaker] += _overlap(turn, other)
    return shared


def _best_mapping(shared: dict[tuple[str, str], float]) -> dict[str, str]:
    """The one-to-one mapping speaker -> label with the greatest sum, label after label."""
    best: dict[frozenset[str], tuple[float, dict[str, str]]] = {frozenset(): (0.0, {})}
    for label in sorted({label for _, label in shared}):
        candidates = [(s, time) for (s, other), time in shared.items() if other == label and time]
        for taken, (total, names) in list(best.items()):
            for speaker, time in candidates:
                key = taken | {speaker}
                if speaker not in taken and total + time > best.get(key, (0.0, {}))[0]:
                    best[key] = (total + time, {**names, speaker: label})
    return max(best.values(), key=lambda entry: entry[0])[1]


def _hear(turn: Turn, heard: Sequence[Turn], names: dict[str, str]) -> HeardTurn:
    times: dict[str, float] = {}
    for other in heard:
        if time := _overlap(turn, other):
            times[other.speaker] = times.get(other.speaker, 0.0) + time
    label = max(times, key=lambda name: times[name], default=None)
    share = times[label] / (turn.end - turn.start) if label is not None else 0.0
    return HeardTurn(turn, label, share, label is not None and names.get(turn.speaker) == label)


def _overlap(one: Turn, other: Turn) -> float:
    return max(0.0, min(one.end, other.end) - max(one.start, other.start))
