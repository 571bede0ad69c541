"""Risk: a guest is given the name of somebody enrolled, and then is heard as a part of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from voices import RATE, TRUTH, conversation, events_of, model

from edge.comparison import compare
from edge.events import Event, Segment, SpeakerCreated, SpeakerMerged, Verdict
from edge.gate import GateConfig
from edge.horizon import Horizon
from edge.pipeline import Pipeline, PipelineConfig
from edge.recognition import recognise
from edge.records import all_records
from edge.rttm import read_rttm
from edge.scoring import FIRST_LOOK, OperatingPoint
from edge.speakers import SpeakerBook
from edge.state import new_state
from edge.statistics import Profile, Sums
from edge.stretch import Stretch
from edge.tracker_config import HorizonConfig
from edge.turns import turns_from_events
from edge.voices import UNKNOWN, Voices, doubt, usual_odds

CONFIG = HorizonConfig()


@cache
def turns(speaker: str) -> tuple[Sums, ...]:
    """Statistics of the longer turns of a voice of the conversation, the longest first."""
    own = sorted(
        (t for t in read_rttm(TRUTH) if t.speaker == speaker), key=lambda t: t.start - t.end
    )
    spans = [conversation()[round(t.start * RATE) : round(t.end * RATE)] for t in own[:3]]
    heard = [all_records(model(), GateConfig(), span) for span in spans]
    return tuple(np.sum([r.statistics for r in some if r.speech], axis=0) for some in heard)


def known(*names: str) -> Voices:
    """Enrolled by one turn."""
    profiles = [Profile(name, turns(name)[0]) for name in names]
    return Voices(model(), SpeakerBook(model(), profiles).known, usual_odds(model()))


def found(
    voices: Voices, heard: list[Sums], names: list[str], settled: int = 0
) -> list[str | None]:
    return recognise(model(), voices, heard, names, CONFIG, settled=settled)


def test_everybody_has_their_own_name_and_a_guest_has_none() -> None:
    heard = [turns(name)[1] for name in ("ben", "callum", "ada")]
    assert found(known("ada", "ben"), heard, [UNKNOWN] * 3) == ["ben", None, "ada"]
    assert found(known("ada", "ben"), [], []) == []
    assert found(known(), heard, [UNKNOWN] * 3) == [None] * 3


def test_nobody_is_two_voices() -> None:
    one, other, _ = turns("ada")
    assert found(known("ada"), [other, one], [UNKNOWN] * 2) == [None, "ada"]
    assert found(known("ada"), [one, other], [UNKNOWN] * 2) == ["ada", None]


def in_doubt() -> tuple[Voices, Sums]:
    """Somebody enrolled, and speech that is hardly likelier theirs than not."""
    voices = known("ada")
    for share in np.linspace(0.0, 1.0, 101):
        mixed = share * turns("ada")[1] + (1.0 - share) * turns("callum")[1]
        llr = voices.llr("ada", model().embed(mixed[None])[0], mixed)
        if 0.0 < llr < CONFIG.keep_llr:
            return voices, mixed
    raise AssertionError("there is always something between two voices")


def test_in_doubt_a_voice_is_called_what_it_was() -> None:
    voices, mixed = in_doubt()
    assert found(voices, [mixed], [UNKNOWN]) == ["ada"]
    assert found(voices, [mixed], ["speaker1"]) == ["ada"]
    assert found(voices, [mixed], ["speaker1"], settled=1) == [None], "what it said is final"
    less = 0.9 * mixed + 0.1 * turns("callum")[1]
    while voices.llr("ada", model().embed(less[None])[0], less) > -0.1:
        less = 0.9 * less + 0.1 * turns("callum")[1]
    assert found(voices, [less], [UNKNOWN]) == [None]
    assert found(voices, [less], ["ada"], settled=1) == ["ada"]
    assert found(voices, [turns("callum")[1]], ["ada"], settled=1) == [None]


def test_of_more_who_are_enrolled_each_is_less_likely_here() -> None:
    assert [doubt(count) for count in (0, 1)] == [0.0, 0.0]
    assert doubt(100) == pytest.approx(np.log(100))
    voices, mixed = in_doubt()
    crowd = [Profile(f"v{i}", turns("ben")[0]) for i in range(30)]
    many = SpeakerBook(model(), [Profile("ada", turns("ada")[0]), *crowd]).known
    assert found(voices, [mixed], [UNKNOWN]) == ["ada"]
    assert found(Voices(model(), many, usual_odds(model())), [mixed], [UNKNOWN]) == [None]


def stretch(number: int, end: int, statistics: Sums, speaker: str = UNKNOWN) -> Stretch:
    embedding = model().embed(statistics[None])[0]
    return Stretch(number, 0, end - 4 * RATE, end, statistics, embedding, speaker)


def horizon(*enrolled: str) -> tuple[SpeakerBook, Horizon]:
    book = SpeakerBook(model(), [Profile(name, turns(name)[0]) for name in enrolled])
    return book, Horizon(model(), book, CONFIG, OperatingPoint())


def test_a_guest_who_had_a_name_by_mistake_loses_it_and_takes_nothing_along() -> None:
    book, looking_back = horizon("ada")
    book.learn("ada", turns("callum")[0])
    events = looking_back.add(stretch(0, 5 * RATE, turns("callum")[1]))
    assert [e.speaker for e in events if isinstance(e, SpeakerCreated)] == ["speaker1"]
    assert not [e for e in events if isinstance(e, SpeakerMerged)], "ada is still somebody"
    assert [e.speaker for e in events if isinstance(e, Segment)] == ["speaker1"]
    assert book.names == ["ada", "speaker1"]
    np.testing.assert_array_equal(book.known[0].statistics, turns("ada")[0])
    events = looking_back.add(stretch(1, 10 * RATE, turns("ada")[1]))
    assert [e.speaker for e in events if isinstance(e, Segment)] == ["ada"]


def test_a_voice_that_turns_out_to_be_somebodys_goes_on_as_theirs() -> None:
    book, looking_back = horizon("ada")
    book.learn(book.new_name(), turns("ada")[1])
    events = looking_back.add(stretch(0, 5 * RATE, turns("ada")[2]))
    assert SpeakerMerged(5 * RATE, "speaker1", "ada") in events
    assert [e.speaker for e in events if isinstance(e, Segment)] == ["ada"]
    assert book.names == ["ada"]
    assert [voice.elsewhere for voice in book.voices] == [False]


def test_an_idle_voice_that_loses_its_name_is_told_where_the_stream_is() -> None:
    book, looking_back = horizon("ada")
    book.learn("ada", turns("callum")[0])
    events = looking_back.add(stretch(0, 5 * RATE, turns("ben")[0]))
    created = {e.speaker: e.sample for e in events if isinstance(e, SpeakerCreated)}
    assert len(created) == 2
    assert 5 * RATE in created.values()


def test_two_voices_that_had_each_others_names_change_them() -> None:
    book, looking_back = horizon("ada", "ben")
    book.learn("ada", turns("ben")[1])
    book.learn("ben", turns("ada")[1])
    looking_back.add(stretch(0, 5 * RATE, turns("dan")[0]))
    heard = {voice.name: voice.statistics for voice in book.heard}
    np.testing.assert_array_equal(heard["ada"], turns("ada")[1])
    np.testing.assert_array_equal(heard["ben"], turns("ben")[1])


def test_a_name_goes_from_one_voice_to_another_that_came_before_it() -> None:
    book, looking_back = horizon("ada")
    book.learn(book.new_name(), turns("ada")[1])
    book.learn("ada", turns("callum")[0])
    events = looking_back.add(stretch(0, 5 * RATE, turns("dan")[0]))
    assert SpeakerMerged(5 * RATE, "speaker1", "ada") in events
    heard = {voice.name: voice.statistics for voice in book.heard}
    assert sorted(heard) == ["ada", "speaker2"]
    np.testing.assert_array_equal(heard["ada"], turns("ada")[1])
    np.testing.assert_array_equal(heard["speaker2"], turns("callum")[0])


def carried(*names: str) -> tuple[SpeakerBook, Horizon]:
    """Two voices with numbers, the same one's, those of the `names` known from elsewhere."""
    book, looking_back = horizon()
    voices = {name: turns("ada")[0] for name in names}
    book.restore(new_state(model(), 2, 0, voices), elsewhere=True)
    book.learn("speaker1", turns("ada")[1])
    book.learn("speaker2", turns("ada")[2])
    looking_back._renew()
    return book, looking_back


@pytest.mark.parametrize("number", ["speaker1", "speaker2"])
def test_a_number_that_was_carried_over_stays(number: str) -> None:
    book, looking_back = carried(number)
    (merged,) = looking_back._fuse(stretch(0, 5 * RATE, turns("ada")[2], "speaker2"))
    assert isinstance(merged, SpeakerMerged)
    assert merged.into == number
    assert book.names == [number]


def test_two_who_were_told_apart_elsewhere_are_not_fused() -> None:
    book, looking_back = carried("speaker1", "speaker2")
    assert looking_back._fuse(stretch(0, 5 * RATE, turns("ada")[2], "speaker2")) == []
    assert book.names == ["speaker1", "speaker2"]


def test_of_what_nothing_was_heard_is_nobodys() -> None:
    nothing = np.zeros(model().statistics_size)
    assert found(known("ada"), [nothing], ["ada"], settled=1) == [None]


def limited(most: int, *carry: str) -> tuple[SpeakerBook, Horizon]:
    """So many voices without a name at most; some, called speaker1 and so on, carried over."""
    book = SpeakerBook(model(), [Profile("ada", turns("ada")[0])])
    config = replace(CONFIG, max_speakers=most)
    looking_back = Horizon(model(), book, config, OperatingPoint())
    voices = {f"speaker{i}": turns(name)[0] for i, name in enumerate(carry, start=1)}
    looking_back.restore(new_state(model(), len(carry), 0, voices), elsewhere=True)
    return book, looking_back


def test_who_is_forgotten_for_want_of_room_is_recognised_no_more() -> None:
    book, looking_back = limited(1, "ben")
    events = looking_back.add(stretch(0, 5 * RATE, turns("dan")[0]))
    assert [e.speaker for e in events if isinstance(e, SpeakerCreated)] == ["speaker2"]
    assert looking_back.known.names == {"ada"}
    events = looking_back.add(stretch(1, 10 * RATE, turns("ben")[1]))
    assert "speaker1" not in book.names
    assert not [e for e in events if isinstance(e, SpeakerCreated) and e.speaker == "speaker1"]


def test_who_is_known_takes_nobodys_room() -> None:
    book, looking_back = limited(1)
    book.learn(book.new_name(), turns("ben")[0])
    looking_back.add(stretch(0, 5 * RATE, turns("ada")[1]))
    assert book.names == ["ada", "speaker1"]
    book, looking_back = limited(2, "ben", "callum")
    for number, name in enumerate(("ben", "callum")):
        end = 5 * RATE * (number + 1)
        (event,) = looking_back.add(stretch(number, end, turns(name)[1]))[:1]
        assert isinstance(event, Segment)
        assert event.speaker == f"speaker{number + 1}"
    assert book.names == ["ada", "speaker1", "speaker2"]


def test_what_was_carried_over_of_a_voice_is_enrolled_with_it() -> None:
    _, looking_back = limited(9, "ben")
    looking_back.add(stretch(0, 5 * RATE, turns("ben")[1]))
    voice = looking_back.voice("speaker1")
    assert voice is not None
    np.testing.assert_array_equal(voice.statistics, turns("ben")[0] + turns("ben")[1])
    state = {known.name: known.sums for known in looking_back.state(1).voices}
    np.testing.assert_array_equal(state["speaker1"], voice.statistics)
    assert looking_back.voice("nobody") is None
    enrolled = looking_back.voice("ada")
    assert enrolled is not None
    np.testing.assert_array_equal(enrolled.statistics, turns("ada")[0])


@pytest.mark.parametrize("others", [1, 40])
def test_who_is_enrolled_live_and_forgotten_is_nobody_else(others: int) -> None:
    crowd = [Profile(f"v{i}", turns(("ada", "ben")[i % 2])[0]) for i in range(others)]
    book = SpeakerBook(model(), crowd)
    looking_back = Horizon(model(), book, CONFIG, OperatingPoint())
    looking_back.add(stretch(0, 5 * RATE, turns("dan")[0]))
    heard = looking_back.voice("speaker1")
    assert heard is not None
    profile = Profile("dan", heard.statistics)
    events = looking_back.reload([*crowd, profile], {"speaker1": "dan"}, 6 * RATE)
    assert {e.speaker for e in events if isinstance(e, Segment)} == {"dan"}
    assert not [e for e in events if isinstance(e, SpeakerCreated)]
    events = looking_back.reload(crowd, {}, 7 * RATE)
    told = [(e.speaker, e.state) for e in events if isinstance(e, Segment)]
    assert told == [(UNKNOWN, "final")]
    assert book.names == [profile.name for profile in crowd]


def run(profiles: list[Profile]) -> tuple[list[Event], Pipeline]:
    pipeline = Pipeline(model(), profiles, PipelineConfig())
    return pipeline.push(conversation()) + pipeline.flush(), pipeline


def test_nobody_is_told_apart_otherwise_for_who_is_enrolled() -> None:
    """Names are given to voices as they are heard, whoever is enrolled: only the names differ."""
    plain, named = (
        turns_from_events(run([Profile(name, turns(name)[0]) for name in names])[0])
        for names in ((), ("ada", "ben"))
    )
    plain = [replace(turn, speaker=f"voice of {turn.speaker}") for turn in plain]
    alike = compare(plain, named)
    assert alike.right > 0.95
    assert {"ada", "ben"} < set(alike.names.values())


def test_verdicts_are_by_what_is_enrolled() -> None:
    """Not by what was heard of whoever is taken for them: what is said here changes no profile."""
    events, pipeline = run([Profile("ada", turns("ada")[0])])
    verdicts = [event for event in events if isinstance(event, Verdict)]
    assert {"yes", "no"} <= {event.answer for event in verdicts}
    said = {event.id: event for event in events if isinstance(event, Segment)}
    wrong = [v for v in verdicts if v.answer == "yes" and said[v.segment].speaker != "ada"]
    assert sum(said[v.segment].end - said[v.segment].start for v in wrong) < RATE
    (profile,) = pipeline._tracker._horizon.known
    np.testing.assert_array_equal(profile.statistics, turns("ada")[0])


def verdicts_of(profiles: Sequence[Profile], point: OperatingPoint) -> list[Verdict]:
    pipeline = Pipeline(model(), profiles, PipelineConfig(operating_point=point))
    return [e for e in events_of([conversation()], pipeline) if isinstance(e, Verdict)]


def test_a_verdict_keeps_its_rate_however_many_are_enrolled() -> None:
    """A stranger has one chance to be taken for each of them."""
    count, rate = 10, 1e-4
    crowd = [Profile(f"callum {number}", turns("callum")[0]) for number in range(count - 1)]
    profiles = [Profile("ada", turns("ada")[0]), *crowd]
    said = [v for v in verdicts_of(profiles, OperatingPoint(rate)) if v.evidence > FIRST_LOOK]
    assert any(v.answer == "yes" for v in said)
    least = OperatingPoint(rate / count).accept_llr
    assert all((v.answer == "yes") <= (v.llr >= least) for v in said)
    assert any(v.answer == "not yet" and v.llr > OperatingPoint(rate).accept_llr for v in said)


def test_a_verdict_is_for_nobody_who_is_not_ahead_of_another() -> None:
    names = ("ada", "eve")  # by the same speech
    point = OperatingPoint()
    said = verdicts_of([Profile(name, turns("ada")[0]) for name in names], point)
    assert {v.answer for v in said} == {"no", "not yet"}
    assert max(v.llr for v in said) > point.accept_llr


def test_no_verdict_says_yes_of_less_than_a_second_that_may_go_on() -> None:
    said = verdicts_of([Profile("ada", turns("ada")[0])], OperatingPoint())
    ends = {v.segment: v for v in said}.values()
    early = [v for v in said if v.evidence < FIRST_LOOK and v not in ends]
    assert early and {v.answer for v in early} == {"not yet"}
