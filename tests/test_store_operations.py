"""Whatever is done to the enrolled in whatever order: the store holds that, to the last bit."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from voice_store import SIZE, profile, stub, sums

from edge.errors import EarmarkError
from edge.ledger import MAX_CONDITIONS, MAX_UPDATES
from edge.names import MAX_NAME
from edge.sealing import make_key
from edge.statistics import Profile, Sums
from edge.store import Store

NAMES = ["ada", "Ada", "bén", "李", "a'; DROP TABLE speakers; --", "x" * MAX_NAME]
CONDITIONS = ["default", "telephone"]


class StoreAgainstDictionary(RuleBasedStateMachine):
    """After every step and every reopening, the store is a dictionary of whole-numbered sums."""

    names, conditions = st.sampled_from(NAMES), st.sampled_from(CONDITIONS)
    seconds = st.integers(1, 99)

    @initialize(encrypted=st.booleans())
    def open(self, encrypted: bool) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="earmark-test-"))
        self.key = self.folder / "key" if encrypted else None
        if self.key:
            make_key(self.key)
        self.enrolled: dict[str, dict[str, int]] = {}
        self.updates: dict[str, list[tuple[str, int]]] = {}
        self.store = Store(self.folder / "s.db", stub(), key=self.key)

    def teardown(self) -> None:
        self.store.__exit__(None, None, None)
        shutil.rmtree(self.folder)

    def refused(self, *missing: str) -> bool:
        return not set(missing) <= self.enrolled.keys()

    @rule(name=names, condition=conditions, seconds=seconds)
    def enrol(self, name: str, condition: str, seconds: int) -> None:
        again = (condition, seconds) in self.parts(name)
        grown = self.store.enrol(Profile(name, speech(seconds)), condition=condition)
        assert grown.again == again
        self.updates.setdefault(name, [])
        if not again:
            self.add(name, condition, seconds)

    def parts(self, name: str) -> list[tuple[str, int]]:
        return [*self.enrolled.get(name, {}).items(), *self.updates.get(name, [])]

    def add(self, name: str, condition: str, seconds: int) -> None:
        conditions = self.enrolled.setdefault(name, {})
        conditions[condition] = conditions.get(condition, 0) + seconds

    @rule(name=names, seconds=seconds)
    def enrol_what_is_refused(self, name: str, seconds: int) -> None:
        def refuse(_: Profile) -> None:
            raise EarmarkError("too little")

        with pytest.raises(EarmarkError, match="too little"):
            self.store.enrol(Profile(name, speech(seconds)), refuse)

    @rule(name=names, condition=conditions, seconds=seconds, times=st.integers(1, MAX_UPDATES))
    def adapt(self, name: str, condition: str, seconds: int, times: int) -> None:
        if self.refused(name):
            with pytest.raises(EarmarkError, match="nobody is enrolled"):
                self.store.adapt(name, speech(seconds), condition)
            return
        for more in range(times):
            part = (condition, seconds + more)
            again = part in self.parts(name)  # the same speech counts once
            assert self.store.adapt(name, speech(seconds + more), condition).again == again
            if not again:
                self.updates[name].append(part)
            if len(self.updates[name]) > MAX_UPDATES:
                self.add(name, *self.updates[name].pop(0))

    @rule(name=names)
    def undo(self, name: str) -> None:
        if self.refused(name) or not self.updates[name]:
            with pytest.raises(EarmarkError, match=r"nobody is enrolled|no update"):
                self.store.undo(name)
            return
        update = self.store.undo(name)
        assert (update.condition, update.statistics[0]) == self.updates[name].pop()

    @rule(name=names, other=names)
    def merge(self, name: str, other: str) -> None:
        if self.refused(name, other) or name == other:
            with pytest.raises(EarmarkError, match=r"nobody is enrolled|itself"):
                self.store.merge(name, other)
            return
        known, new = self.parts(name), self.parts(other)
        assert self.store.merge(name, other).again == bool(set(known) & set(new))
        for part in new:
            if part not in known:  # the same speech counts once
                self.add(name, *part)
        del self.enrolled[other], self.updates[other]

    @rule(name=names)
    def forget(self, name: str) -> None:
        if self.refused(name):
            with pytest.raises(EarmarkError, match="nobody is enrolled"):
                self.store.forget(name)
            return
        self.store.forget(name)
        del self.enrolled[name], self.updates[name]

    @rule(old=names, new=names)
    def rename(self, old: str, new: str) -> None:
        if self.refused(old) or new in self.enrolled:
            with pytest.raises(EarmarkError, match=r"nobody is enrolled|already"):
                self.store.rename(old, new)
            return
        self.store.rename(old, new)
        self.enrolled[new] = self.enrolled.pop(old)
        self.updates[new] = self.updates.pop(old)

    @rule()
    def reopen(self) -> None:
        self.store.__exit__(None, None, None)
        self.store = Store(self.folder / "s.db", stub(), create=False, key=self.key)

    @rule()
    def carry_over(self) -> None:
        data = self.store.export()
        self.store.__exit__(None, None, None)
        for file in self.folder.glob("s.db*"):
            file.unlink()
        self.store = Store(self.folder / "s.db", stub(), key=self.key)
        carried = self.store.import_(data, merge=False)
        assert [grown.profile.name for grown in carried] == sorted(self.enrolled)

    @invariant()
    def holds_what_was_put_in(self) -> None:
        found = {p.name: p.statistics for p in self.store.profiles()}
        assert list(found) == self.store.names() == sorted(self.enrolled)
        for name, statistics in found.items():
            ledger = self.store.ledger(name)
            assert {c: s[0] for c, s in ledger.conditions.items()} == self.enrolled[name]
            assert [(u.condition, u.statistics[0]) for u in ledger.updates] == self.updates[name]
            whole = sum(self.enrolled[name].values()) + sum(s for _, s in self.updates[name])
            assert np.array_equal(statistics, speech(whole))


def speech(seconds: int) -> Sums:
    """Statistics whose sums are exact."""
    return np.full(SIZE, float(seconds))


StoreAgainstDictionary.TestCase.settings = settings(
    max_examples=20, stateful_step_count=20, deadline=None
)
TestStoreAgainstDictionary = StoreAgainstDictionary.TestCase


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "speakers.db", stub())


def test_undoing_gives_the_profile_back_bit_for_bit(store: Store) -> None:
    store.enrol(profile("ada", 1))
    store.enrol(profile("ada", 2), condition="telephone")
    seen = [store.profile("ada").statistics]
    for seed in range(3, 3 + MAX_UPDATES):
        seen.append(store.adapt("ada", sums(seed)).profile.statistics)
    for before in reversed(seen[:-1]):
        store.undo("ada")
        assert np.array_equal(store.profile("ada").statistics, before)


@pytest.mark.parametrize(
    "bad",
    [sums(1)[:-1], np.full(SIZE, np.nan), np.full(SIZE, np.inf), np.zeros(SIZE), -sums(1)],
)
def test_what_is_no_statistics_does_not_reach_a_good_profile(store: Store, bad: Sums) -> None:
    store.enrol(profile("ada"))
    for change in (
        lambda: store.enrol(Profile("ben", bad)),
        lambda: store.adapt("ada", bad),
        lambda: store.enrol(Profile("ada", bad)),
    ):
        with pytest.raises(EarmarkError, match="cannot change the profile of"):
            change()
    assert store.names() == ["ada"]
    assert np.array_equal(store.profile("ada").statistics, sums(1))


def test_conditions_are_bounded_whoever_brings_them(store: Store) -> None:
    for number in range(MAX_CONDITIONS):
        store.enrol(profile("ada", number), condition=f"room {number}")
    store.enrol(profile("ben"), condition="telephone")
    for change in (
        lambda: store.enrol(profile("ada"), condition="telephone"),
        lambda: store.adapt("ada", sums(1), "telephone"),
        lambda: store.merge("ada", "ben"),
    ):
        with pytest.raises(EarmarkError, match=f"17 conditions.*at most {MAX_CONDITIONS}"):
            change()
    assert store.names() == ["ada", "ben"]
    store.adapt("ada", sums(1), "room 3")


@pytest.mark.parametrize("name", ["", " x", "a/b", "a\nb", "x" * (MAX_NAME + 1)])
def test_conditions_that_cannot_be(store: Store, name: str) -> None:
    with pytest.raises(EarmarkError, match="cannot be the name of a condition"):
        store.enrol(profile("ada"), condition=name)
    assert store.names() == []
