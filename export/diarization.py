"""How well it is told who spoke when: error rates, speakers found, flips of labels, delays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import spyder
from numpy.typing import NDArray
from rich.progress import track
from scipy.optimize import linear_sum_assignment

from edge.audio import stream_audio
from edge.encoder import Model
from edge.rttm import Turn
from edge.voices import UNKNOWN
from export.conversations import read_conversations
from export.hearing import Hearing, hear
from train.manifest import read_manifest
from train.simulate import simulate_meeting

COLLAR = 0.25  # seconds on both sides of every edge in truth that are not scored
FINE, COARSE = 0.01, 0.1  # seconds; steps on which JER and flips are counted
AROUND = 3  # coarse steps on either side of a change in truth, where no flips are counted
MEETINGS = {2: 120.0, 4: 600.0, 8: 1200.0, 20: 2400.0}  # seconds of a meeting of so many
LARGEST = max(MEETINGS)
POOLED = "Overall"  # as spyder calls it


@dataclass(frozen=True)
class Rates:
    """The diarization error rate and its parts, in percent of the speech in truth."""

    miss: float
    false_alarm: float
    confusion: float
    der: float


@dataclass(frozen=True)
class Diarization:
    """One recording, or all of a set together.

    Attributes:
        recording: its name.
        exact: collar 0, overlap scored.
        with_collar: the same with a collar of 0.25 s.
        alone: the same as `exact`, of the time in which no two speak in truth.
        jer: Jaccard error rate, percent.
        speakers: how many were told apart in the end; of a set none.
        speakers_truth: how many there were; of a set none.
        counted: share of recordings in which that is right within one.
        flips: changes of the label a minute while in truth one voice went on.
        latency: median and 95th percentile, in seconds of the stream.
    """

    recording: str
    exact: Rates
    with_collar: Rates
    alone: Rates
    jer: float
    speakers: int
    speakers_truth: int
    counted: float
    flips: float
    latency: tuple[float, float]


@dataclass(frozen=True)
class Outcome:
    """The same recordings judged by the labels at once, and by the final ones."""

    at_once: list[Diarization]
    final: list[Diarization]


def evaluate_conversations(folder: Path, model: Model) -> Outcome:
    """The real conversations, and all together.

    Raises:
        EarmarkError: there are none, or one cannot be read.
    """
    conversations = read_conversations(folder)
    return judge(
        [
            hear(path.stem, model, stream_audio(path), truth)
            for path, truth in track(conversations, description="diarizing", transient=True)
        ]
    )


def evaluate_meetings(corpus: Path, model: Model, count: int, hours: float) -> Outcome:
    """`count` simulated meetings of 2, 4, 8 and 20 speakers of the development split.

    Args:
        corpus: folder with dev.csv, turns and noise.
        model: the encoder.
        count: meetings of each size.
        hours: length of one more of the largest size; 0 for none.

    Raises:
        EarmarkError: the corpus does not suffice.
    """
    voices = read_manifest(corpus / "dev.csv")
    groups = [[(size, MEETINGS[size], seed) for seed in range(count)] for size in MEETINGS]
    groups.append([(LARGEST, 3600.0 * hours, count)] if hours else [])
    outcomes = []
    for group in filter(None, groups):
        hearings = []
        for speakers, seconds, seed in track(group, description="meetings", transient=True):
            meeting = simulate_meeting(voices, corpus, speakers, seconds, seed)
            name = f"{speakers} speakers, {seconds / 60:g} min, {seed}"
            hearings.append(hear(name, model, meeting.blocks(), meeting.turns))
        outcomes.append(judge(hearings))
    return Outcome(
        [row for outcome in outcomes for row in outcome.at_once],
        [row for outcome in outcomes for row in outcome.final],
    )


def judge(hearings: Sequence[Hearing]) -> Outcome:
    """A row a recording, and one for all of them together."""
    return Outcome(
        _rows(hearings, lambda h: h.at_once, lambda h: h.first_latency),
        _rows(hearings, lambda h: h.final, lambda h: h.final_latency),
    )


def jaccard_errors(truth: Sequence[Turn], found: Sequence[Turn]) -> NDArray[np.float64]:
    """Of every speaker in truth, the share of time in which they and their match differ.

    Their mean is the Jaccard error rate of the second DIHARD challenge (Ryant et al., 2019): the
    matching is the one to one that makes it least; who has no match counts as 1.
    """
    if not found:
        return np.ones(len({turn.speaker for turn in truth}))
    steps = round(max(turn.end for turn in [*truth, *found]) / FINE)
    spoken, heard = (speaking(turns, steps, FINE)[1] for turns in (truth, found))
    common = spoken.astype(np.float32) @ heard.astype(np.float32).T
    union = spoken.sum(axis=1)[:, None] + heard.sum(axis=1)[None] - common
    error = 1.0 - common / np.maximum(union, 1)
    rows, columns = linear_sum_assignment(error)
    errors = np.ones(len(spoken))
    errors[rows] = error[rows, columns]
    return errors


def wrong_flips(truth: Sequence[Turn], found: Sequence[Turn], seconds: float) -> int:
    """How often the label changes although the same person goes on, no other having a turn between.

    Looked at are the tenths of a second in which one person speaks in truth and one is shown,
    further than a quarter of a second from where any turn begins or ends in truth: how exactly a
    change of turn is placed is what the error rate tells.
    """
    steps = round(seconds / COARSE)
    (people, spoken), (labels, heard) = (speaking(t, steps, COARSE) for t in (truth, found))
    if not people or not labels:
        return 0
    changes = np.any(np.diff(spoken, axis=1, prepend=False), axis=0)
    near = np.convolve(changes, np.ones(2 * AROUND), mode="full")[AROUND : AROUND + steps]
    at = np.flatnonzero((spoken.sum(axis=0) == 1) & (heard.sum(axis=0) == 1) & (near == 0))
    person, label = spoken[:, at].argmax(axis=0), heard[:, at].argmax(axis=0)
    # A turn is one too where nobody is shown in it, or where it is too short to be looked at.
    of_others = np.cumsum(spoken.any(axis=0) & ~spoken, axis=1)[person, at]
    goes_on = (person[1:] == person[:-1]) & (of_others[1:] == of_others[:-1])
    return int(np.sum(goes_on & (label[1:] != label[:-1])))


def speaking(turns: Sequence[Turn], steps: int, step: float) -> tuple[list[str], NDArray[np.bool_]]:
    """The speakers, and whether each speaks, (speakers, steps)."""
    names = sorted({turn.speaker for turn in turns})
    active = np.zeros((len(names), steps), dtype=bool)
    for turn in turns:
        active[names.index(turn.speaker), round(turn.start / step) : round(turn.end / step)] = True
    return names, active


def _rows(
    hearings: Sequence[Hearing],
    labels: Callable[[Hearing], list[Turn]],
    latency: Callable[[Hearing], NDArray[np.float64]],
) -> list[Diarization]:
    exact = _rates(hearings, labels)
    with_collar = _rates(hearings, labels, collar=COLLAR)
    alone = _rates(hearings, labels, regions="nonoverlap")

    def row(name: str, of: Sequence[Hearing]) -> Diarization:
        errors = np.concatenate([jaccard_errors(h.truth, labels(h)) for h in of])
        flips = sum(wrong_flips(h.truth, labels(h), h.seconds) for h in of)
        late = np.concatenate([latency(h) for h in of])
        median, worst = np.percentile(late, (50, 95)) if len(late) else (np.nan, np.nan)
        counts = [(_people(labels(h)), _people(h.truth)) for h in of]
        own = counts[0] if name != POOLED else (0, 0)
        return Diarization(
            recording=name,
            exact=exact[name],
            with_collar=with_collar[name],
            alone=alone[name],
            jer=100.0 * float(errors.mean()),
            speakers=own[0],
            speakers_truth=own[1],
            counted=float(np.mean([abs(found - true) <= 1 for found, true in counts])),
            flips=60.0 * flips / sum(h.seconds for h in of),
            latency=(float(median), float(worst)),
        )

    return [*(row(h.recording, [h]) for h in hearings), row(POOLED, hearings)]


def _rates(
    hearings: Sequence[Hearing],
    labels: Callable[[Hearing], list[Turn]],
    *,
    collar: float = 0.0,
    regions: str = "all",
) -> dict[str, Rates]:
    """By recording, and of all together, by spyder."""
    metrics = spyder.DER(
        {h.recording: _spyder_turns(h.truth) for h in hearings},
        {h.recording: _spyder_turns(labels(h)) for h in hearings},
        per_file=True,
        collar=collar,
        regions=regions,
    )
    return {
        name: Rates(*(100.0 * float(m) for m in (found.miss, found.falarm, found.conf, found.der)))
        for name, found in metrics.items()
    }


def _people(turns: Sequence[Turn]) -> int:
    return len({turn.speaker for turn in turns} - {UNKNOWN})


def _spyder_turns(turns: Sequence[Turn]) -> list[tuple[str, float, float]]:
    # spyder counts time wrong around a turn of no length.
    return [(turn.speaker, turn.start, turn.end) for turn in turns if turn.start < turn.end]
