"""Looking back: recent stretches of speech are clustered anew whenever one is added.

A stretch may change its speaker while it is within the horizon; then it settles, its statistics are
added to its speaker, and it is gone from memory. Speakers keep their ids: a cluster bears the
number that most of its speech had before, or the name of whoever it is recognised as.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from edge.attribution import attribute
from edge.encoder import Model
from edge.events import Event, SpeakerCreated, SpeakerMerged, renamed
from edge.grouping import group
from edge.recognition import called_before, recognise
from edge.room import room_for
from edge.scoring import OperatingPoint
from edge.speakers import SpeakerBook, numbered, twins
from edge.state import State, new_state
from edge.statistics import Profile, Sums
from edge.stretch import Stretch
from edge.tracker_config import HorizonConfig
from edge.voices import UNKNOWN, Standing, Voice, Voices, standing, usual_odds

SPARED = 4  # stretches to one clustering, where the machine cannot keep up


class Horizon:
    """The stretches that may still change, and the voices that they and the past add up to.

    Attributes:
        config: the settings.
        voices: all, each by what was heard of it here, if anything was.
        known: those from elsewhere, by what is known of them.
    """

    def __init__(
        self, model: Model, book: SpeakerBook, config: HorizonConfig, point: OperatingPoint
    ) -> None:
        self.config = config
        self._model = model
        self._book = book
        self._point = point
        self._stretches: list[Stretch] = []
        self._unsorted = 0  # stretches since the last clustering
        self._odds = usual_odds(model)
        self._renew()

    def _renew(self) -> None:
        self.voices = self._side_by_side(self._book.heard)
        self.known = Voices(self._model, self._book.known, self._odds)

    def _side_by_side(self, heard: Sequence[Voice]) -> Voices:
        """Voices by what was heard of them here; and, by what is known, those who were not."""
        names = {voice.name for voice in heard}
        absent = [voice for voice in self._book.known if voice.name not in names]
        present = [voice for voice in self._book.known if voice.name in names]
        return Voices(self._model, [*absent, *heard], self._odds, present)

    @property
    def next_name(self) -> str:
        """What the next new voice will be called."""
        return numbered(self._book.next_number)

    def speech_in(self, segment: int) -> Sums | None:
        """Statistics (size,) of a stretch within the horizon, by its id; None if it is not."""
        return next((s.statistics for s in self._stretches if s.id == segment), None)

    def voice(self, name: str) -> Voice | None:
        """The voice that goes by a name at present, with what was carried over of one with none."""
        voice = next((voice for voice in self.voices if voice.name == name), None)
        carried = next((known for known in self._book.known if known.name == name), None)
        if voice is None or voice.elsewhere or voice.enrolled or carried is None:
            return voice
        return replace(voice, statistics=voice.statistics + carried.statistics)

    def state(self, segments: int) -> State:
        """What the next run should know: all voices without a name, settled or not yet.

        `segments`: how many have begun.
        """
        voices = {v.name: v.statistics for v in self._book.known if not v.enrolled}
        for voice in self.voices:
            if not (voice.elsewhere or voice.enrolled):
                voices[voice.name] = voice.statistics + voices.get(voice.name, 0.0)
        return new_state(self._model, self._book.named, segments, voices)

    def restore(self, state: State, elsewhere: bool) -> None:
        """Go on where an earlier run has ended; `elsewhere`: it heard another recording.

        Who was heard by a number elsewhere, and is enrolled by now, has a name instead.
        """
        if elsewhere:
            sums, new = [voice.sums for voice in state.voices], [UNKNOWN] * len(state.voices)
            names = recognise(self._model, self.known, sums, new, self.config, settled=0)
            left = (v for v, name in zip(state.voices, names, strict=True) if name is None)
            state = msgspec.structs.replace(state, voices=tuple(left))
        self._book.restore(state, elsewhere)
        self._renew()

    def reconfigure(self, config: HorizonConfig, point: OperatingPoint) -> None:
        """Other settings from the next stretch on."""
        self.config = config
        self._point = point

    def add(self, stretch: Stretch, sparing: bool = False) -> list[Event]:
        """Take in a stretch that has closed; returns it and every correction it brings.

        `sparing` looks back only at every fourth stretch; those between are labelled by the voices
        as they are.
        """
        self._stretches.append(stretch)
        self._unsorted += 1
        if sparing and self._unsorted < SPARED:
            events = self._place(stretch)
        else:
            events = self._recluster(stretch.end, newest=stretch)
        horizon = stretch.end - round(self.config.seconds * self._model.spec.sample_rate)
        while self._stretches[0].end < horizon or len(self._stretches) > self.config.stretches:
            events += self._settle(self._stretches.pop(0))
        return events

    def finish(self) -> list[Event]:
        """The stream ends or breaks off: nothing can change any more."""
        events: list[Event] = []
        while self._stretches:
            events += self._settle(self._stretches.pop(0))
        self._renew()
        return events

    def _place(self, newest: Stretch) -> list[Event]:
        ranked = self.voices.rank_all(newest.embedding[None], newest.statistics[None])[0]
        newest.speaker = self.voices.likeliest(ranked, self.config.known_llr)
        newest.standing = standing(newest.speaker, ranked)
        self._sum_voices()
        return [newest.event(final=False)]

    def reload(
        self, profiles: Sequence[Profile], moved: Mapping[str, str], sample: int
    ) -> list[Event]:
        """Others are enrolled from `sample` on.

        Voices in `moved` go on under a new name, which is enrolled; what those said who are
        enrolled no more is nobody's. Then it is heard anew whose each stretch may be; but of those
        who are gone altogether, and not under another name, nothing stays by which they could be.
        """
        enrolled = {profile.name for profile in profiles}
        kept = {profile.statistics.tobytes() for profile in profiles}
        forgotten = {
            voice.name
            for voice in self._book.known
            if voice.enrolled and voice.statistics.tobytes() not in kept
        } - enrolled
        gone = {v.name for v in self._book.voices if v.enrolled and v.name not in enrolled}
        names = dict.fromkeys(gone, UNKNOWN) | dict(moved)
        known = {voice.name for voice in self.voices}
        events: list[Event] = [
            SpeakerMerged(sample, name, new) for name, new in moved.items() if name in known
        ]
        self._book.reload(profiles, moved)
        self._renew()
        events += self._forget(forgotten)
        for name, new in names.items():
            events += self._rename(name, new)
        self._sum_voices()
        return events + (self._recluster(sample) if self._stretches else [])

    def _forget(self, names: Collection[str]) -> list[Event]:
        """What these have said lately is final, as nobody's."""
        events: list[Event] = []
        for stretch in [s for s in self._stretches if s.speaker in names]:
            self._stretches.remove(stretch)
            stretch.speaker, stretch.standing = UNKNOWN, Standing()
            stretch.rev += 1
            events.append(stretch.event(final=True))
        return events

    def _recluster(self, sample: int, newest: Stretch | None = None) -> list[Event]:
        """Cluster the stretches anew; returns `newest`, which is to be told, and all that changed.

        `sample`: where the stream is.
        """
        self._unsorted = 0
        before = {s.id: s.speaker for s in self._stretches}
        overlaps = {s.id: s.overlaps for s in self._stretches}
        known = {*before.values(), *self._book.names}
        grouping = group(self._model, self._book.heard, self._stretches, self._odds, self.config)
        self._odds = grouping.odds
        clusters = [*grouping.settled, *grouping.new]
        called = called_before(self._model, [voice.name for voice in self._book.heard], clusters)
        found = self._recognise(clusters, called)
        most, borne = self.config.max_speakers, {*before.values()}
        places, gone = room_for(self._model, self._book, clusters, found, most=most, borne=borne)
        if gone:
            self._book.drop(gone)
            self._renew()
        clusters = [clusters[i] for i in places]
        names, events = self._name([called[i] for i in places], [found[i] for i in places], sample)
        created = [name for name in names if name not in known]
        owners = {s.id: n for n, own in zip(names, clusters, strict=True) for s in own}
        for stretch in self._stretches:
            stretch.speaker = owners.get(stretch.id, UNKNOWN)
        self._sum_voices()
        if self.voices:
            attribute(self._model, self._stretches, self.voices, self.known, self.config)
        for name in created:
            first = min((s.start for s in self._stretches if s.speaker == name), default=sample)
            events.append(SpeakerCreated(first, name))
        for stretch in self._stretches:
            said = (before[stretch.id], overlaps[stretch.id])
            if stretch is newest or (stretch.speaker, stretch.overlaps) != said:
                if stretch is not newest:
                    stretch.rev += 1
                events.append(stretch.event(final=False))
        told = {event.speaker for event in events if isinstance(event, SpeakerMerged)}
        return events + self._merges(before, sample, told)

    def _recognise(self, clusters: list[list[Stretch]], called: list[str]) -> list[str | None]:
        """Who of the known each cluster is, by all that it has said; None of all others."""
        if not self.known:
            return [None] * len(clusters)
        heard = [voice.statistics for voice in self._book.heard]
        settled = heard + [np.zeros(self._model.statistics_size)] * (len(clusters) - len(heard))
        totals = [
            total + sum(stretch.statistics for stretch in own)
            for total, own in zip(settled, clusters, strict=True)
        ]
        return recognise(self._model, self.known, totals, called, self.config, settled=len(heard))

    def _name(
        self, called: list[str], found: list[str | None], sample: int
    ) -> tuple[list[str], list[Event]]:
        """What the clusters are called; a voice that was settled is told to go on under another
        name, unless that was somebody's who is known.
        """
        taken = self.known.names | {UNKNOWN}
        names = [
            known or (self._book.new_name() if old in taken else old)
            for old, known in zip(called, found, strict=True)
        ]
        settled = len(self._book.heard)
        self._book.call(names[:settled])
        events: list[Event] = [
            SpeakerMerged(sample, old, name)
            for old, name in zip(called[:settled], names[:settled], strict=True)
            if old not in taken and name != old
        ]
        return names, events

    def _sum_voices(self) -> None:
        """The voices: what is settled, and the stretches that are theirs at present."""
        sums = {voice.name: voice.statistics for voice in self._book.heard}
        embeddings = {voice.name: voice.embedding for voice in self._book.heard}
        adding = [stretch for stretch in self._stretches if stretch.speaker != UNKNOWN]
        for stretch in adding:
            sums[stretch.speaker] = sums.get(stretch.speaker, 0.0) + stretch.statistics
        heard = sorted({stretch.speaker for stretch in adding})
        if heard:
            rows = np.stack([sums[name] for name in heard])
            embeddings.update(zip(heard, self._model.embed(rows), strict=True))
        enrolled = self.known.enrolled
        here = [
            Voice(name, statistics, embeddings[name], name in enrolled, elsewhere=False)
            for name, statistics in sums.items()
        ]
        self.voices = self._side_by_side(here)

    def _merges(self, before: dict[int, str], sample: int, told: set[str]) -> list[Event]:
        """Names that no stretch bears any more, and who took over their speech; those `told` are
        left out.
        """
        alive = {voice.name for voice in self.voices}
        events: list[Event] = []
        for gone in sorted({*before.values()} - alive - told - {UNKNOWN}):
            heirs = Counter(s.speaker for s in self._stretches if before[s.id] == gone)
            heir = heirs.most_common(1)[0][0]
            if heir != UNKNOWN:
                events.append(SpeakerMerged(sample, gone, heir))
        return events

    def _settle(self, stretch: Stretch) -> list[Event]:
        """Make a stretch final; its speech is learnt where it surely belongs."""
        known = stretch.speaker in self._book.names
        llr = stretch.standing.llr if stretch.standing.llr is not None else -np.inf
        if stretch.speaker != UNKNOWN:
            enrolled = stretch.speaker in self.known.enrolled
            named = self._point.each_look.answer(llr) == "yes"
            sure = named if enrolled else llr >= self.config.learn_llr
            if sure or not known:
                self._book.learn(stretch.speaker, stretch.statistics)
        stretch.rev += 1
        return [stretch.event(final=True), *self._fuse(stretch)]

    def _fuse(self, settled: Stretch) -> list[Event]:
        """Voices known by numbers that turn out to be one, now that one of them has grown."""
        # All that either has said counts, lately too: the first stretch alone of a new voice may
        # begin in another's.
        names = {voice.name for voice in self._book.heard if not voice.enrolled}
        voices = [voice for voice in self.voices if voice.name in names]
        pair = twins(self._model, voices, settled.speaker, self._odds, self.config.merge_llr)
        if pair is None:
            return []
        older, newer = pair
        known = self.known.names
        if newer in known:  # carried over from another recording, by which its number is known
            older, newer = newer, older
        if newer in known:
            return []
        self._book.merge(newer, older)
        events = [SpeakerMerged(settled.end, newer, older), *self._rename(newer, older)]
        self._sum_voices()
        return events

    def _rename(self, name: str, new: str) -> list[Event]:
        """What `name` has said lately is `new`'s."""
        events: list[Event] = []
        for stretch in self._stretches:
            event = stretch.event(final=False)
            changed = renamed(event, name, new)
            if changed != event:
                stretch.speaker, stretch.overlaps = changed.speaker, changed.overlaps
                if stretch.speaker == UNKNOWN:
                    stretch.standing = Standing()
                stretch.rev += 1
                events.append(stretch.event(final=False))
        return events
