"""Making profiles: the sum of everything that a speaker said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.encoder import Model
from edge.errors import EarmarkError
from edge.findings import EnrolmentLimits, Finding, Likeness, agreement, examine, likeness
from edge.gate import GateConfig
from edge.quality import Quality
from edge.records import iter_records
from edge.speakers import SpeakerBook
from edge.statistics import Profile, Sums
from edge.voices import Voice


def speech_statistics(model: Model, samples: NDArray[np.float32]) -> Sums:
    """Statistics (size,) of the speech in samples (n,) at 16 kHz; all zero where there is none."""
    return stream_statistics(model, [samples])


def stream_statistics(model: Model, blocks: Iterable[NDArray[np.float32]]) -> Sums:
    """Statistics (size,) of the speech in a recording of any length, given block after block."""
    total = np.zeros(model.statistics_size)
    for record in iter_records(model, GateConfig(), blocks):
        if record.evidence:
            total += record.statistics
    return total


def check_enough(model: Model, profile: Profile) -> None:
    """Refuse a profile that too little speech stands behind.

    Raises:
        EarmarkError: less than three seconds of speech.
    """
    least = EnrolmentLimits().seconds
    seconds = float(model.seconds(profile.statistics))
    if seconds < least:
        raise EarmarkError(
            f"enrolment of {profile.name} needs {least:g} s of speech, "
            f"heard {seconds:.1f} s; nothing was changed",
            "Record more, closer to the microphone",
        )


def check_agreement(model: Model, speech: Profile, known: Sequence[Profile]) -> None:
    """Refuse speech that is not the voice of its name, where that is among the `known`.

    Raises:
        EarmarkError: another voice is known by that name.
    """
    alike = likeness(model, speech.name, speech.statistics, SpeakerBook(model, known).voices)
    finding = agreement(speech.name, alike, EnrolmentLimits())
    if finding is not None and finding.refused:
        raise EarmarkError(f"{finding.what}; nothing was changed", finding.remedy)


@dataclass(frozen=True)
class Recording:
    """One recording of a speaker: what it is called, and what was found."""

    source: str
    quality: Quality
    alike: Likeness
    findings: list[Finding]


def assess(
    model: Model, name: str, heard: Iterable[tuple[str, Quality]], profiles: Sequence[Profile]
) -> list[Recording]:
    """Judge recordings of the speaker `name`, each given by what it is called and its quality.

    Each is compared with what is enrolled under that name together with the recordings before it.
    """
    voices = {voice.name: voice for voice in SpeakerBook(model, profiles).voices}
    recordings = []
    for source, quality in heard:
        alike = likeness(model, name, quality.statistics, list(voices.values()))
        findings = examine(name, quality, alike, EnrolmentLimits())
        recordings.append(Recording(source, quality, alike, findings))
        before = voices.get(name)
        total = quality.statistics + (before.statistics if before else 0.0)
        embedding = model.embed(total[None])[0]
        known = before is not None and before.elsewhere
        voices[name] = Voice(name, total, embedding, known, known)
    return recordings


def check_accepted(recording: Recording) -> None:
    """Refuse a recording that should not stand for its speaker.

    Raises:
        EarmarkError: naming all that was found, and what is expected.
    """
    reasons = [finding for finding in recording.findings if finding.refused]
    if reasons:
        raise EarmarkError(
            f"{recording.source}: {'; '.join(reason.what for reason in reasons)}; "
            "nothing was changed",
            ". ".join(reason.remedy for reason in reasons),
        )


def profile_from_audio(model: Model, name: str, samples: NDArray[np.float32]) -> Profile:
    """A profile from one recording of one speaker, samples (n,) at 16 kHz.

    Raises:
        EarmarkError: less than three seconds of speech.
    """
    profile = Profile(name, speech_statistics(model, samples))
    check_enough(model, profile)
    return profile
