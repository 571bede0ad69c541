"""A user's own clips, a folder a speaker, compared each with each: trials to learn odds from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.encoder import Model
from edge.errors import EarmarkError
from edge.names import composed
from edge.recalibration import fit
from edge.records import Record
from edge.scoring import directions, match_all
from edge.sources.file import recordings_in
from edge.statistics import Sums

Floats = NDArray[np.float64]
Marks = NDArray[np.bool_]

LENGTHS = (1.0, 2.0, 4.0, 8.0)  # seconds of speech that are compared with a whole clip
MOST_SECONDS = 30.0  # of a clip's speech
LEAST_SPEAKERS, LEAST_PAIRS = 4, 6
MOST_CLIPS = 1000


@dataclass(frozen=True)
class Clip:
    """A recording of one speaker: statistics of its first seconds of speech, by `LENGTHS`.

    `beginnings` has a row for each length that the clip is long enough for.
    """

    speaker: str
    whole: Sums  # (size,), of at most `MOST_SECONDS`
    beginnings: Sums  # (lengths, size)


class Trials(NamedTuple):
    """Clips' beginnings against other clips: the model's own llrs (trials,), and what they are."""

    llrs: Floats
    targets: Marks
    lengths: NDArray[np.int64]  # index into `LENGTHS`
    first: NDArray[np.int64]  # numbers of the speakers of both sides
    second: NDArray[np.int64]


def speaker_folders(folder: Path) -> list[Path]:
    """The folders in it, by name.

    Raises:
        EarmarkError: there is no such folder, or it cannot be read.
    """
    try:
        return sorted(inner for inner in folder.iterdir() if inner.is_dir())
    except OSError as error:
        raise EarmarkError(
            f"cannot read {folder}: {error.strerror}", "Give one with a folder for each speaker"
        ) from error


def clip_files(folder: Path) -> list[tuple[str, Path]]:
    """The speaker and the path of every recording, by name, in FOLDER/SPEAKER/.

    Raises:
        EarmarkError: no such folder, or too few speakers or clips in it, or too many.
    """
    files = [
        (composed(inner.name), path)
        for inner in speaker_folders(folder)
        for path in recordings_in(inner)
    ]
    check_pairs(folder, [speaker for speaker, _ in files])
    if len(files) > MOST_CLIPS:
        raise EarmarkError(
            f"{folder} holds {len(files)} clips, expected at most {MOST_CLIPS}",
            "More would teach nothing: take fewer a speaker",
        )
    return files


def check_pairs(folder: Path, speakers: Sequence[str]) -> None:
    """Refuse too few speakers, or too few pairs of clips of one, given each clip's speaker.

    Raises:
        EarmarkError: saying what there is.
    """
    clips = Counter(speakers)
    pairs = sum(count * (count - 1) // 2 for count in clips.values())
    if len(clips) < LEAST_SPEAKERS or pairs < LEAST_PAIRS:
        raise EarmarkError(
            f"{folder} holds clips of {len(clips)} speakers and {pairs} pairs of clips of one "
            f"speaker, expected at least {LEAST_SPEAKERS} and {LEAST_PAIRS}",
            "Put each speaker's WAV, FLAC or Ogg files into a folder of the speaker's name",
        )


def hear_clip(model: Model, speaker: str, records: Iterable[Record]) -> Clip | None:
    """A clip as its records come, heard no further than needed; None if there is hardly speech."""
    total = np.zeros(model.statistics_size)
    beginnings: list[Sums] = []
    for record in records:
        if not record.evidence:
            continue
        total = total + record.statistics
        seconds = float(model.seconds(total))
        if len(beginnings) < len(LENGTHS) and seconds >= LENGTHS[len(beginnings)] - 1e-6:
            beginnings.append(total)
        if seconds >= MOST_SECONDS:
            break
    return Clip(speaker, total, np.stack(beginnings)) if beginnings else None


def compare(model: Model, clips: Sequence[Clip], *, beside: bool) -> Trials:
    """Every beginning of every clip against all others; are third ones enrolled `beside`?"""
    speakers = np.array([clip.speaker for clip in clips])
    _, numbers = np.unique(speakers, return_inverse=True)
    whole = np.stack([clip.whole for clip in clips])
    enrolled = directions(model.embed(whole))
    parts = []
    for length in range(len(LENGTHS)):
        rows = np.array([i for i, c in enumerate(clips) if len(c.beginnings) > length], dtype=int)
        if not len(rows):
            break
        heard = np.stack([clips[i].beginnings[length] for i in rows])
        match = match_all(directions(model.embed(heard)), enrolled)
        seconds = model.seconds(heard)[:, None], model.seconds(whole)[None]
        if beside:
            llrs = model.across.llr_of_trials(match, *seconds, speakers[rows], speakers)
        else:
            llrs = model.across.alone.llr(match, *seconds)
        test, other = np.nonzero(rows[:, None] != np.arange(len(clips))[None])
        first, second = numbers[rows[test]], numbers[other]
        count = np.full(len(test), length)
        parts.append((llrs[test, other], first == second, count, first, second))
    return Trials(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def fit_trials(trials: Trials, chosen: Marks | slice = slice(None)) -> tuple[float, float]:
    """Offset and slope learnt of some of the trials."""
    voices = np.concatenate([trials.first[chosen], trials.second[chosen]])
    return fit(
        trials.llrs[chosen],
        trials.targets[chosen],
        trials.lengths[chosen],
        speakers=len(np.unique(voices)),
    )


def unseen_llrs(trials: Trials) -> Floats:
    """What each trial's llr would be, had neither of its speakers been learnt of.

    Of two strangers, with the one left out that is the test's.
    """
    llrs = np.empty_like(trials.llrs)
    for speaker in np.unique(trials.first):
        involved = (trials.first == speaker) | (trials.second == speaker)
        offset, slope = fit_trials(trials, ~involved)
        own = trials.first == speaker
        llrs[own] = offset + slope * trials.llrs[own]
    return llrs
