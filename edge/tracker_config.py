"""The settings of the tracker, and of the horizon within which it looks back."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.events import MAX_PROVISIONAL
from edge.ranges import check_range

MAX_STRETCHES = MAX_PROVISIONAL - 2  # with the one that closes, and the one that is open


@dataclass(frozen=True)
class HorizonConfig:
    """Speech in seconds, thresholds in llr (nats)."""

    seconds: float = 120.0  # how far back a stretch may still change its speaker
    stretches: int = 192  # at most so many are kept open, whatever their age
    seed_speech: float = 2.0  # shorter stretches take a speaker, but do not make one
    new_speech: float = 3.0  # least speech of a new speaker
    merge_llr: float = -0.25  # clusters that match at least so well are one voice
    beside_llr: float = 3.0  # by so much a short stretch is likelier a neighbour's, without a pause
    # Enrolled, or carried over: named from here on, beside_llr added, less the logarithm of how
    # many they are.
    known_llr: float = 0.0
    keep_llr: float = 3.0  # by so much the name that a voice has is likelier than another
    learn_llr: float = 1.0  # a settled stretch is added to its voice only from here on
    max_speakers: int = 64  # without a profile; then one more takes the place of the least heard

    def __post_init__(self) -> None:
        check_range("horizon.seconds", self.seconds, 0)
        check_range("horizon.stretches", self.stretches, 1, MAX_STRETCHES)
        check_range("horizon.max_speakers", self.max_speakers, 1)


@dataclass(frozen=True)
class TrackerConfig:
    """Lengths are in records (a tenth of a second of speech), thresholds in llr (nats)."""

    max_gap: int = 5  # silence that ends a segment
    max_segment: int = 120  # longer segments are cut: their parts may turn out to be two voices
    max_unknown: int = 40  # the same while nobody is recognised, so that a new voice is soon made
    min_segment: int = 3  # shorter ones are taken for noise
    first_label: int = 2  # speech before a segment is first shown
    min_side: int = 10  # least speech on either side of a change of voice
    look_back: int = 60  # most speech behind a change when it is found
    change_llr: float = -2.0  # a change is cut where the two sides match worse than this
    recent: int = 6  # speech by which another voice that is known is noticed
    switch_llr: float = 3.0  # by so much it has to match better than the one before
    guess_llr: float = -1.0  # from here on a voice without a name is shown, before it is sure
    overlap_probability: float = 0.65  # of the encoder's, from which two voices are reported
    horizon: HorizonConfig = field(default_factory=HorizonConfig)

    def __post_init__(self) -> None:
        for name in (
            "max_gap",
            "max_segment",
            "max_unknown",
            "min_segment",
            "first_label",
            "min_side",
            "look_back",
            "recent",
        ):
            check_range(f"tracker.{name}", getattr(self, name), 1)
        check_range("tracker.overlap_probability", self.overlap_probability, 0, 1)
