"""What speaks against enrolling a recording: reasons to refuse it, and doubts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.encoder import Model
from edge.quality import Quality
from edge.statistics import Sums
from edge.voices import Score, Voice, Voices, usual_odds


@dataclass(frozen=True)
class Limit:
    """What is worse than `refused` is refused, what lies between that and `good` is doubted."""

    refused: float
    good: float

    @property
    def more_is_better(self) -> bool:
        """Whether the values beyond `good` are the greater ones."""
        return self.good > self.refused

    def keeps(self, value: float, bound: float) -> bool:
        """Whether a value is as good as a bound, or better."""
        return value >= bound if self.more_is_better else value <= bound


@dataclass(frozen=True)
class EnrolmentLimits:
    """What recordings must be to stand for a voice.

    Set on held-out speakers of the training side, whose recordings were made quiet, clipped, noisy
    and mixed with each other's, and by what that does to their verification.
    """

    seconds: float = 3.0  # of speech in a profile, at least
    level: Limit = Limit(-60.0, -50.0)  # dBFS; below, the steps of 16 bits tell
    clipped: Limit = Limit(0.03, 0.001)  # share; clipping 9 % costs a quarter of the llr
    snr: Limit = Limit(8.0, 15.0)  # dB; white noise at 10 dB triples the EER
    second_voice: Limit = Limit(0.15, 0.05)  # share of the speech
    overlap: Limit = Limit(0.30, 0.25)  # probability
    agreement: Limit = Limit(-3.0, 0.0)  # llr with the profile
    other_llr: float = 4.6  # with another's profile, from which on it is doubted: odds of 99 to 1


@dataclass(frozen=True)
class Likeness:
    """Llr of a recording with what is known of its speaker; and the likeliest other speaker."""

    own: float | None = None
    other: Score | None = None


def likeness(model: Model, name: str, statistics: Sums, voices: Sequence[Voice]) -> Likeness:
    """Compare speech (size,) that is said to be the voice `name`'s with all voices."""
    ranked = Voices(model, voices, usual_odds(model)).rank(statistics)
    own = next((score.llr for score in ranked if score.speaker == name), None)
    return Likeness(own, next((score for score in ranked if score.speaker != name), None))


@dataclass(frozen=True)
class Finding:
    """What is wrong with a recording, by what was measured, and what to do.

    `hint` is the same in two words.
    """

    refused: bool
    hint: str
    what: str
    remedy: str


def examine(name: str, quality: Quality, alike: Likeness, limits: EnrolmentLimits) -> list[Finding]:
    """All that speaks against a recording of the speaker `name`."""
    if not quality.seconds:
        what, remedy = "expected speech, heard none", "Leave it out, or record it again"
        return [Finding(True, "no speech", what, remedy)]
    judged = [
        _judge(
            "too quiet",
            "level of the speech",
            "{:.1f} dBFS",
            quality.level,
            limits.level,
            remedy="Go closer to the microphone, or raise its level",
        ),
        _judge(
            "clipping",
            "clipped part of the speech",
            "{:.1%}",
            quality.clipped,
            limits.clipped,
            remedy="Lower the level of the microphone",
        ),
        _judge(
            "too noisy",
            "SNR",
            "{:.1f} dB",
            quality.snr,
            limits.snr,
            remedy="Find a quieter place, or go closer to the microphone",
        ),
        _judge(
            "second voice",
            "second voice's part of the speech",
            "{:.1%}",
            quality.second_voice,
            limits.second_voice,
            remedy="Record one person alone",
        ),
        _judge(
            "voices at once",
            "probability of voices at once",
            "{:.1%}",
            quality.overlap,
            limits.overlap,
            remedy="Record one person alone, with nobody talking in the background",
        ),
        agreement(name, alike, limits),
        _resemblance(name, alike, limits.other_llr),
    ]
    return [finding for finding in judged if finding is not None]


def agreement(name: str, alike: Likeness, limits: EnrolmentLimits) -> Finding | None:
    """What speaks against its being the voice that is known of the speaker `name`, if anything."""
    return _judge(
        "another voice",
        f"llr with what is known of {name}",
        "{:+.1f}",
        alike.own,
        limits.agreement,
        remedy=f"See that it is {name}'s voice; another microphone or room lowers the llr",
    )


def _judge(
    hint: str, what: str, unit: str, value: float | None, limit: Limit, *, remedy: str
) -> Finding | None:
    """A finding if a value was measured and is not good."""
    if value is None or limit.keeps(value, limit.good):
        return None
    refused = not limit.keeps(value, limit.refused)
    bound = unit.format(limit.refused if refused else limit.good)
    return Finding(
        refused,
        hint,
        f"{what} is {unit.format(value)}, {'expected' if refused else 'good is'} {bound} or "
        f"{'more' if limit.more_is_better else 'less'}",
        remedy,
    )


def _resemblance(name: str, alike: Likeness, llr: float) -> Finding | None:
    """A doubt if a recording is more like somebody else, and at least by this llr."""
    other = alike.other
    if other is None or other.llr < llr or (alike.own is not None and alike.own >= other.llr):
        return None
    return Finding(
        False,
        f"like {other.speaker}",
        f"like the voice of {other.speaker}, llr {other.llr:+.1f}",
        f"If one person is enrolled under two names, 'earmark speakers forget {name}'",
    )
