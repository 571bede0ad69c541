"""Incremental diarization: which voice each stretch of speech is, decided as it is heard.

Speech is cut into segments where silence or a change of voice ends them. A segment is labelled
provisionally while it grows; once closed it is heard again as a whole, cut where more than one
voice is in it, and enters the horizon, where it may be corrected until it settles.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import structs

from edge.change import ChangeFinder
from edge.encoder import Model
from edge.events import Event, Segment, Verdict
from edge.horizon import Horizon
from edge.open_segment import OpenSegment
from edge.overlap import Both, both_speak, second_voices
from edge.records import Record
from edge.scoring import FIRST_LOOK, OperatingPoint
from edge.segmenter import changes
from edge.speakers import SpeakerBook
from edge.state import State
from edge.statistics import TOKEN, Profile, Sums
from edge.stretch import Stretch
from edge.tracker_config import TrackerConfig
from edge.voices import UNKNOWN, Score, Voice, Voices, standing

SHOWN_AGAIN = 10  # records by which a segment has grown when it is shown anew, at the latest


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
        self.shedding = 0  # see `edge.overload.Ladder`
        self._model = model
        self._operating_point = operating_point
        book = SpeakerBook(model, profiles)
        self._horizon = Horizon(model, book, config.horizon, operating_point)
        self._changes = ChangeFinder(model, config)
        self._open = OpenSegment()
        self._free = 0  # sample from which speech is of no closed segment
        self._recent: deque[Record] = deque(maxlen=model.spec.afterthought)
        self._pushed = 0  # records
        self._next_id = 0  # of the open segment
        self._shown: Segment | None = None  # last revision of the open segment
        self._said: tuple[str, str] | None = None  # last verdict: claimed speaker and answer

    @property
    def voices(self) -> Voices:
        """Every voice known at present, enrolled ones included."""
        return self._horizon.voices

    def voice(self, name: str) -> Voice | None:
        """The voice that goes by a name at present, if there is one."""
        return self._horizon.voice(name)

    def speech_in(self, segment: int) -> Sums | None:
        """Statistics (size,) of a segment that is not final yet, by its id; None if none is."""
        if segment == self._next_id and len(self._open):
            return self._open.totals[-1]
        return self._horizon.speech_in(segment)

    def state(self) -> State:
        """What the tracker of the next run should know."""
        return self._horizon.state(segments=self._next_id + 1)

    def restore(self, state: State, elsewhere: bool) -> None:
        """Before the first record: go on with the voices of an earlier run.

        `elsewhere`: it heard another recording, in another room or over another line.
        """
        self._horizon.restore(state, elsewhere)
        self._next_id = state.segments

    def reconfigure(self, config: TrackerConfig, operating_point: OperatingPoint) -> None:
        """Other settings from the next record on."""
        self.config = config
        self._operating_point = operating_point
        self._changes = ChangeFinder(self._model, config)
        self._horizon.reconfigure(config.horizon, operating_point)

    def push(self, record: Record) -> list[Event]:
        """Advance by one record."""
        self._pushed += 1
        self._amend(record)
        if not record.speech:
            if not len(self._open):
                return []
            silence = record.end - self._open.end
            over = silence >= self.config.max_gap * self._model.record_samples
            return self._close() if over else self._pause()
        self._open.append(record)
        events = [] if self._pushed % TOKEN else self._look()
        if len(self._open) >= self._longest:
            events += self._close_before(self._open.pause_near(len(self._open)))
        return events

    @property
    def _longest(self) -> int:
        """Records that the open segment may have, by whether its voice is known."""
        unknown = self._shown is not None and self._shown.speaker not in self.voices.names
        return self.config.max_unknown if unknown else self.config.max_segment

    def _look(self) -> list[Event]:
        """Whose the open segment is; where the voice has changed in it, another begins."""
        halves = self._changes.halves(self._open) if len(self.voices) > 1 else []
        rows = np.stack([self._open.totals[-1], *halves])
        ranked, *ranked_halves = self.voices.rank_all(self._model.embed(rows), rows)
        within = self.voices.odds.within
        change = self._changes.by_sound(self._open, within)
        if change is None and halves:
            change = self._changes.by_voices(self._open, ranked_halves, within)
        if change is None:
            return self._show(ranked)
        events = self._close_before(change)
        return events + self._show(self.voices.rank(self._open.totals[-1]))

    def _close_before(self, place: int) -> list[Event]:
        """End the open segment; its records from `place` on are those of the next."""
        newer = self._open.split(place)
        events = self._close()
        self._open = newer
        return events

    def _amend(self, record: Record) -> None:
        """What `record` tells of an earlier one, unless that is in a segment that has closed."""
        if len(self._recent) == self._model.spec.afterthought:
            earlier = self._recent[0]
            if earlier.start >= self._free:
                self._open.amend(earlier, record.hindsight)
        self._recent.append(record)

    def finish(self) -> list[Event]:
        """The stream ended or broke off: close what is open, and make everything final."""
        self._recent.clear()
        self._pushed = 0
        return self._close() + self._horizon.finish()

    def reload(
        self, profiles: Sequence[Profile], moved: Mapping[str, str], sample: int
    ) -> list[Event]:
        """Others are enrolled from now on; `moved` gives the new names of voices that go on."""
        if self._shown is not None and self._shown.speaker in moved:
            new = moved[self._shown.speaker]
            self._shown = structs.replace(self._shown, speaker=new)
        return self._horizon.reload(profiles, moved, sample)

    def _pause(self) -> list[Event]:
        """How far the open segment has come, where speech breaks off: it may be over."""
        if self._shown is None or self._shown.end == self._open.end:
            return []
        return self._show(self.voices.rank(self._open.totals[-1]), due=True)

    def _show(self, ranked: Sequence[Score], due: bool = False) -> list[Event]:
        """A provisional revision, where there is enough speech and something new to say.

        `ranked`: how the open segment compares with all voices.
        """
        count = len(self._open)
        if count < self.config.first_label or self.shedding >= 2:
            return []
        speaker = self._likeliest(ranked)
        verdict = self._verdict(ended=False)
        overlaps = second_voices(self.voices, self._both(), speaker)
        shown = self._shown
        if shown is not None and (shown.speaker, shown.overlaps) == (speaker, overlaps) and not due:
            grown = self._open.end - shown.end
            if grown < SHOWN_AGAIN * self._model.record_samples:
                return verdict
        own = standing(speaker, ranked)
        self._shown = Segment(
            id=self._next_id,
            rev=self._revision(),
            state="provisional",
            speaker=speaker,
            start=self._open.start,
            end=self._open.end,
            llr=own.llr,
            runner_up=own.runner_up,
            margin=own.margin,
            overlaps=overlaps,
        )
        return [self._shown, *verdict]

    def _likeliest(self, ranked: Sequence[Score]) -> str:
        """Who is shown while a segment is open: a name only with the odds for it.

        What is like nobody known is shown as the voice that it will be, if it turns out to be one.
        """
        known_llr, guess_llr = self.config.horizon.known_llr, self.config.guess_llr
        speaker = self.voices.likeliest(ranked, known_llr, guess_llr)
        return self._horizon.next_name if speaker == UNKNOWN else speaker

    def _close(self) -> list[Event]:
        """End the open segment, and cut it where, with all of it in view, the voice changes."""
        parts = [self._open]
        places = {self._open.pause_near(p) for p in changes(self._model, self._open.totals)}
        for place in sorted(places, reverse=True):
            parts.insert(1, self._open.split(place))
        events = []
        for self._open in parts:
            events += self._hand_over()
        return events

    def _hand_over(self) -> list[Event]:
        """The open segment goes to the horizon; nothing is open then."""
        events: list[Event] = []
        if self._shown is not None or len(self._open) >= self.config.min_segment:
            statistics = self._open.totals[-1]
            embedding = self._model.embed(statistics[None])[0]
            verdict = self._verdict(ended=True)
            stretch = Stretch(
                self._next_id,
                self._revision(),
                self._open.start,
                self._open.end,
                statistics,
                embedding,
                both=self._both(),
            )
            events = self._horizon.add(stretch, sparing=self.shedding >= 1) + verdict
            self._next_id += 1
        if len(self._open):
            self._free = self._open.end
        self._open = OpenSegment()
        self._shown = None
        self._said = None
        return events

    def _both(self) -> list[Both]:
        segment = self._open
        least = self.config.overlap_probability
        return both_speak(self._model, segment.records, segment.overlap, least)

    def _revision(self) -> int:
        return 0 if self._shown is None else self._shown.rev + 1

    def _verdict(self, *, ended: bool) -> list[Event]:
        """The answer for the likeliest enrolled speaker, when it is new for this segment.

        By what is enrolled, whatever was said here by whoever is taken for them; as `identify`
        answers, at each of many looks, and not before a second of speech while there may be more.
        """
        enrolled = len(self._horizon.known.enrolled)
        if not enrolled:
            return []
        best, *others = self._horizon.known.nearest_enrolled(self._open.totals[-1])
        margin = best.llr - others[0].llr if others else None
        evidence = float(self._model.seconds(self._open.totals[-1]))
        answer = self._operating_point.each_look.answer_among(enrolled, best.llr, margin)
        if not ended and evidence < FIRST_LOOK:
            answer = "not yet"
        if (best.speaker, answer) == self._said:
            return []
        self._said = (best.speaker, answer)
        return [Verdict(self._open.end, self._next_id, best.speaker, answer, best.llr, evidence)]
