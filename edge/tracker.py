"""Incremental diarization: which voice each stretch of speech is, decided as it is heard.

Speech is cut into segments where silence or a change of voice ends them. A segment is labelled
provisionally while it grows; when it closes, all of its statistics are scored once more, and the
label becomes final. A voice that is nobody's yet becomes a new speaker only with enough speech.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge.encoder import Model
from edge.errors import EarmarkError
from edge.events import Event, Segment, SpeakerCreated, SpeakerMerged, Verdict
from edge.records import Record
from edge.scoring import OperatingPoint
from edge.speakers import Score, SpeakerBook
from edge.statistics import Profile, Sums

UNKNOWN = "unknown"


@dataclass(frozen=True)
class TrackerConfig:
    """Lengths are in records (a tenth of a second of net speech), thresholds in llr (nats)."""

    max_gap: int = 5  # silence that ends a segment
    max_segment: int = 300  # longer segments are cut, so that memory is bounded
    first_label: int = 4  # speech before a segment is first shown
    window: int = 12  # speech on the newer side of a possible change of voice
    min_side: int = 6  # least speech on either side of a change
    change_llr: float = -1.0  # a change is cut where the two sides match worse than this
    known_llr: float = 0.0  # a segment that matches a voice at least so well is that voice's
    new_speech: int = 15  # least speech of a new voice
    learn_llr: float = 1.0  # a segment that matches at least so well is added to its voice
    merge_llr: float = 5.0  # two voices that match at least so well become one
    max_speakers: int = 64

    def __post_init__(self) -> None:
        for name in (
            "max_gap",
            "max_segment",
            "first_label",
            "window",
            "min_side",
            "new_speech",
            "max_speakers",
        ):
            if getattr(self, name) < 1:
                raise EarmarkError(
                    f"tracker.{name} is {getattr(self, name)}, expected 1 or more",
                    "Correct the value",
                )


class Tracker:
    """Turns records into segments with speakers. Pure: no clock, the same for the same records."""

    def __init__(
        self,
        model: Model,
        profiles: Sequence[Profile],
        config: TrackerConfig,
        operating_point: OperatingPoint,
    ) -> None:
        self.config = config
        self.book = SpeakerBook(model, profiles)
        self._model = model
        self._operating_point = operating_point
        self._records: list[Record] = []  # speech of the open segment
        self._gap = 0
        self._next_id = 0
        self._shown: Segment | None = None  # last revision of the open segment
        self._said: tuple[str, str] | None = None  # last verdict: claimed speaker and answer

    def push(self, record: Record) -> list[Event]:
        """Advance by one record."""
        if not record.speech:
            self._gap += 1
            return self._close() if self._gap == self.config.max_gap else []
        self._gap = 0
        self._records.append(record)
        if len(self._records) % 2:  # two records come from one run of the encoder
            return []
        change = self._change()
        if change is not None:
            newer = self._records[change:]
            self._records = self._records[:change]
            events = self._close()
            self._records = newer
            return events + self._show()
        if len(self._records) >= self.config.max_segment:
            return self._close()
        return self._show()

    def finish(self) -> list[Event]:
        """The stream ended or broke off: close what is open."""
        return self._close()

    def _change(self) -> int | None:
        """Where in the open segment the voice changes, if it does."""
        config = self.config
        count = len(self._records)
        if count < config.window + config.min_side:
            return None
        sums = np.cumsum([r.statistics for r in self._records], axis=0)
        candidates = np.arange(
            max(config.min_side, count - 2 * config.window), count - config.min_side + 1
        )
        older, newer = sums[candidates - 1], sums[-1] - sums[candidates - 1]
        cosines = np.sum(self._model.embed(older) * self._model.embed(newer), axis=1)
        llrs = self._model.calibration.llr(
            cosines, self._model.seconds(older), self._model.seconds(newer)
        )
        worst = int(np.argmin(llrs))
        return int(candidates[worst]) if llrs[worst] < config.change_llr else None

    def _statistics(self) -> Sums:
        total: Sums = np.sum([r.statistics for r in self._records], axis=0)
        return total

    def _show(self) -> list[Event]:
        """A provisional revision, where there is enough speech and something new to say."""
        count = len(self._records)
        if count < self.config.first_label:
            return []
        scores = self.book.scores(self._statistics())
        known = scores and scores[0].llr >= self.config.known_llr
        speaker = scores[0].speaker if known else UNKNOWN
        verdict = self._verdict(scores)
        due = count % 10 == 0
        if self._shown is not None and self._shown.speaker == speaker and not due:
            return verdict
        return [self._revise("provisional", speaker, scores), *verdict]

    def _close(self) -> list[Event]:
        """Decide the open segment for good."""
        if not self._records:
            return []
        config, count = self.config, len(self._records)
        if count < config.first_label and self._shown is None and not self.book.speakers:
            self._records = []
            return []
        statistics = self._statistics()
        scores = self.book.scores(statistics)
        events: list[Event] = []
        best = scores[0].llr if scores else -np.inf
        room = len(self.book.speakers) < config.max_speakers
        if best >= config.known_llr or (count < config.new_speech and scores) or not room:
            speaker = scores[0].speaker
            if best >= config.learn_llr:
                self.book.learn(speaker, statistics)
        elif count >= config.new_speech:
            speaker = self.book.create(statistics)
            events.append(SpeakerCreated(self._records[0].start, speaker))
        else:
            speaker = UNKNOWN
        events.append(self._revise("final", speaker, scores))
        events += self._verdict(scores)
        events += self._merge()
        self._records = []
        self._shown = None
        self._said = None
        self._next_id += 1
        return events

    def _revise(self, state: str, speaker: str, scores: list[Score]) -> Segment:
        own = next((s for s in scores if s.speaker == speaker), None)
        other = next((s for s in scores if s.speaker != speaker), None)
        self._shown = Segment(
            id=self._next_id,
            rev=0 if self._shown is None else self._shown.rev + 1,
            state="final" if state == "final" else "provisional",
            speaker=speaker,
            start=self._records[0].start,
            end=self._records[-1].end,
            llr=own.llr if own else None,
            runner_up=other.speaker if other else None,
            margin=own.llr - other.llr if own and other else None,
        )
        return self._shown

    def _verdict(self, scores: list[Score]) -> list[Event]:
        """The answer for the likeliest enrolled speaker, when it is new for this segment."""
        enrolled = {s.name for s in self.book.speakers if s.enrolled}
        score = next((s for s in scores if s.speaker in enrolled), None)
        if score is None:
            return []
        answer = self._operating_point.answer(score.llr)
        if (score.speaker, answer) == self._said:
            return []
        self._said = (score.speaker, answer)
        evidence = float(self._model.seconds(self._statistics()))
        return [
            Verdict(
                self._records[-1].end, self._next_id, score.speaker, answer, score.llr, evidence
            )
        ]

    def _merge(self) -> list[Event]:
        """Fold voices together that turned out to be one."""
        pair = self.book.likeliest_same_pair()
        if pair is None or pair[2] < self.config.merge_llr:
            return []
        gone, into, _ = pair
        self.book.merge(gone, into)
        return [SpeakerMerged(self._records[-1].end, gone, into)]
