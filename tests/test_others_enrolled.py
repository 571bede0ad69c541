"""Risk: where all voices are alike, by one microphone or of one family, a stranger gets a yes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from voices import CONVERSATION, ENROLMENT, ada, beginning, model

from edge.across import Across, excess, told_by_others
from edge.cli import main
from edge.database import Database
from edge.gallery import OTHERS, Gallery, claimed_gallery
from edge.gate import GateConfig
from edge.horizon import Horizon
from edge.records import all_records
from edge.scoring import Match, OperatingPoint, directions, match_all
from edge.speakers import SpeakerBook
from edge.statistics import Profile
from edge.store import Store
from edge.tracker_config import HorizonConfig
from edge.verification import verify
from edge.voices import Voice, Voices, usual_odds

ACCEPT = OperatingPoint().accept_llr
cosines = st.lists(st.floats(-1, 1), min_size=1, max_size=8)


def across() -> Across:
    return model().across


def pieces(count: int) -> list[Profile]:
    """Seconds of the conversation, one after the other, as if each were somebody's."""
    records = [r.statistics for r in all_records(model(), GateConfig(), beginning()) if r.evidence]
    sums = [np.sum(records[10 * i : 10 * (i + 1)], axis=0) for i in range(count)]
    return [Profile(f"v{i}", statistics) for i, statistics in enumerate(sums)]


@given(values=cosines, data=st.data())
def test_only_what_is_from_elsewhere_counts_and_is_counted_for(
    values: list[float], data: st.DataObject
) -> None:
    marks = st.lists(st.booleans(), min_size=len(values), max_size=len(values))
    elsewhere = np.array(data.draw(marks))
    match = Match(np.array(values), np.zeros(len(values)))
    found = across().discount(match, elsewhere).cosines
    np.testing.assert_array_equal(found[~elsewhere], match.cosines[~elsewhere])
    beside = np.flatnonzero(elsewhere)
    for voice in beside:
        others = match.cosines[beside[beside != voice]]
        more = (others - across().usual).sum() / (across().weight + len(others))
        assert found[voice] == pytest.approx(match.cosines[voice] - more)


def test_odds_pass_over_from_alone_to_among_many() -> None:
    alone, among = across().alone.values, across().among.values
    assert across().values(0) == list(alone)
    half = across().values(int(across().weight))
    assert half == pytest.approx([(a + b) / 2 for a, b in zip(alone, among, strict=True)])
    assert across().values(10**9) == pytest.approx(list(among), rel=1e-6)


@given(values=cosines)
def test_trials_are_decided_as_in_a_gallery(values: list[float]) -> None:
    """One recording each: of one who is enrolled, as if they were not."""
    enrolled = np.array([f"v{i}" for i in range(len(values))])
    match = Match(np.array([values]), np.full((1, len(values)), 8.0))
    seconds = np.array([[2.0]]), np.full((1, len(values)), 5.0)
    trials = across().llr_of_trials(match, *seconds, np.array(["nobody"]), enrolled)
    gallery = across().llr(match, *seconds, np.ones(len(values), dtype=bool))
    np.testing.assert_allclose(trials, gallery)
    trials = across().llr_of_trials(match, *seconds, enrolled[:1], enrolled)
    without = Match(match.cosines[:, 1:], match.norms[:, 1:])
    rest = across().llr(
        without, seconds[0], seconds[1][:, 1:], np.ones(len(values) - 1, dtype=bool)
    )
    np.testing.assert_allclose(trials[:, 1:], rest)


def test_who_is_recorded_often_counts_as_one_voice() -> None:
    cosine = np.array([[0.3, 0.1, 0.2, 0.6]])
    enrolled = np.array(["ada", "ben", "ben", "eve"])
    rest, count = told_by_others(cosine, np.array(["eve"]), enrolled)
    np.testing.assert_allclose(rest, [[0.15, 0.3, 0.3, 0.45]])
    np.testing.assert_array_equal(count, [[1, 1, 1, 2]])
    assert excess(np.array(0.3), 1, usual=0.1, weight=3.0) == pytest.approx(0.05)


@pytest.mark.parametrize("others", [2, 8, 32])
def test_strangers_of_a_place_where_all_are_alike_pass_less_often(others: int) -> None:
    """Cosines of four seconds of strangers, all of them by as much higher than is usual."""
    random = np.random.default_rng(0)
    strangers = random.normal(across().usual + 0.3, 0.1, (20_000, 1 + others))
    match = Match(strangers, np.full_like(strangers, 8.0))
    seconds = np.full((20_000, 1), 4.0), np.full((1, 1 + others), 10.0)
    alone = (across().alone.llr(match, *seconds) > ACCEPT).mean()
    beside = (across().llr(match, *seconds, np.ones(1 + others, dtype=bool)) > ACCEPT).mean()
    assert alone > 0.02
    assert beside < {2: 0.8, 8: 0.4, 32: 0.2}[others] * alone


def test_nobody_else_changes_nothing() -> None:
    (heard,) = pieces(1)
    match = match_all(
        directions(model().embed(heard.statistics[None])),
        directions(model().embed(ada().statistics[None])),
    )
    seconds = [model().seconds(side.statistics) for side in (heard, ada())]
    expected = float(across().alone.llr(match, *seconds)[0, 0])
    gallery = Gallery(model(), [ada()])
    assert gallery.llr("ada", heard.statistics) == pytest.approx(expected, abs=1e-4)
    voices = Voices(model(), SpeakerBook(model(), [ada()]).voices, usual_odds(model()))
    assert voices.rank(heard.statistics)[0].llr == pytest.approx(expected)


def test_verify_hears_by_the_others_how_alike_strangers_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "speakers.db"
    with Store(path, model()) as store:
        for profile in (ada(), *pieces(3)):
            store.enrol(profile)
        gallery = claimed_gallery(model(), store, "ada")
    heard = pieces(5)[4].statistics
    alone = verify(model(), Gallery(model(), [ada()]), "ada", heard, OperatingPoint())
    beside = verify(model(), gallery, "ada", heard, OperatingPoint())
    assert beside.claimed == alone.claimed == "ada"
    assert beside.llr == dict(gallery.nearest(heard, 4))["ada"]
    assert abs(beside.llr - alone.llr) > 0.1
    words = ["verify", "ada", str(CONVERSATION), "--store", str(path), "--false-accept", "1e-9"]
    assert main(words) in (3, 4)
    said = capsys.readouterr().out
    assert main(["speakers", "forget", "v0", "--store", str(path)]) == 0
    capsys.readouterr()
    assert main(words) in (3, 4)
    assert capsys.readouterr().out != said


def test_a_profile_that_cannot_be_used_stands_in_nobody_elses_way(tmp_path: Path) -> None:
    """Another model's, or damaged: 'earmark identify' tells of it, and ada is verified."""
    path = tmp_path / "speakers.db"
    with Store(path, model()) as store:
        for profile in (ada(), *pieces(3)):
            store.enrol(profile)
        everybody = claimed_gallery(model(), store, "ada")
    database = Database(path, 5.0)
    with database.transaction():
        database.query("UPDATE speakers SET model = 'other' WHERE name = ?", (b"v0",))
        database.query("UPDATE speakers SET ledger = x'00' WHERE name = ?", (b"v1",))
    database.close()
    with Store(path, model()) as store:
        assert [profile.name for profile in store.others("ada", OTHERS)] == ["v2"]
        assert len(claimed_gallery(model(), store, "ada")) == 2 < len(everybody)
    assert main(["verify", "ada", str(ENROLMENT), "--store", str(path)]) == 0


def test_of_very_many_a_few_are_asked(tmp_path: Path) -> None:
    with Store(tmp_path / "speakers.db", model()) as store:
        for number in range(OTHERS + 3):
            store.enrol(Profile(f"v{number:02}", pieces(1)[0].statistics))
        store.enrol(ada())
        assert len(claimed_gallery(model(), store, "ada")) == OTHERS + 1
        assert len(claimed_gallery(model(), store, "v01")) == OTHERS + 1


def test_in_a_stream_those_without_a_name_are_no_strangers_to_count() -> None:
    """Those of this recording share its room with the speech: of the enrolled they tell nothing."""
    first, second, heard = pieces(3)
    enrolled = SpeakerBook(model(), [ada(), first]).voices
    embedding = model().embed(second.statistics[None])[0]
    nameless = Voice("speaker1", second.statistics, embedding, False, False)
    without = dict(Voices(model(), enrolled, usual_odds(model())).rank(heard.statistics))
    beside = dict(
        Voices(model(), [*enrolled, nameless], usual_odds(model())).rank(heard.statistics)
    )
    assert {name: beside[name] for name in without} == pytest.approx(without)


def test_in_a_stream_those_enrolled_who_were_heard_are_still_asked() -> None:
    """That somebody spoke here takes nothing from what their profile tells of the next one."""
    first, second, heard = pieces(3)
    book = SpeakerBook(model(), [ada(), first, second])
    before = dict(Voices(model(), book.known, usual_odds(model())).rank(heard.statistics))
    book.learn("v0", first.statistics)
    after = Horizon(model(), book, HorizonConfig(), OperatingPoint()).voices
    assert dict(after.rank(heard.statistics))["ada"] == pytest.approx(before["ada"])
    forgotten = Voices(model(), book.voices, usual_odds(model()))
    assert dict(forgotten.rank(heard.statistics))["ada"] != pytest.approx(before["ada"], abs=0.01)
