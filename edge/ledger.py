"""A ledger: what one profile is the sum of, so that it grows exactly and updates can be undone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np

from edge.errors import EarmarkError
from edge.names import check_condition
from edge.statistics import Sums
from edge.untrusted import parse

DEFAULT_CONDITION = "default"
MAX_CONDITIONS = 16
MAX_UPDATES = 8  # how many can be undone

T = TypeVar("T")


class Update(msgspec.Struct, frozen=True, eq=False, forbid_unknown_fields=True):
    """Statistics (size,) that matching added, not enrolment."""

    condition: str
    statistics: Sums


class Ledger(msgspec.Struct, frozen=True, eq=False, forbid_unknown_fields=True):
    """One speaker's statistics (size,): a sum per recording condition, and the last updates.

    Updates lie beside the sums, oldest first: undoing one subtracts nothing and so gives back
    the profile bit for bit. Every change is a new ledger, checked before it can be written.
    """

    conditions: Annotated[dict[str, Sums], msgspec.Meta(min_length=1)]
    updates: tuple[Update, ...] = ()

    @property
    def total(self) -> Sums:
        """The profile's statistics (size,): the sum of all that is here."""
        sums = [statistics for _, statistics in self._parts]
        return sum(sums[1:], sums[0])

    def adapt(self, condition: str, statistics: Sums) -> Ledger:
        """With one more update; the oldest of too many becomes part of its condition."""
        conditions, updates = self.conditions, (*self.updates, Update(condition, statistics))
        for oldest in updates[:-MAX_UPDATES]:
            conditions = _added(conditions, oldest.condition, oldest.statistics)
        return Ledger(conditions, updates[-MAX_UPDATES:])

    def undo(self) -> Ledger:
        """Without the last update, of which there must be one."""
        return Ledger(self.conditions, self.updates[:-1])

    def merge(self, other: Ledger) -> Ledger:
        """With all that another ledger holds; its updates can no longer be undone.

        What is the same speech, bit for bit and under the same condition, counts once.
        """
        conditions = self.conditions
        for condition, statistics in other._parts:
            if not self._holds(condition, statistics):
                conditions = _added(conditions, condition, statistics)
        return Ledger(conditions, self.updates)

    def repeats(self, other: Ledger) -> bool:
        """Whether some of another ledger is the same speech as some of this one."""
        return any(self._holds(*part) for part in other._parts)

    def check(self, size: int) -> None:
        """See that this is a profile of a model with statistics (size,).

        Raises:
            EarmarkError: something is too much, no name, or no statistics.
        """
        updated = [update.condition for update in self.updates]
        names = self.conditions.keys() | set(updated)
        for name in names:
            check_condition(name)
        if len(names) > MAX_CONDITIONS:
            raise EarmarkError(f"{len(names)} conditions came, at most {MAX_CONDITIONS} expected")
        if len(self.updates) > MAX_UPDATES:
            raise EarmarkError(f"{len(updated)} updates came, at most {MAX_UPDATES} expected")
        for statistics in (*self.conditions.values(), *(u.statistics for u in self.updates)):
            if statistics.shape != (size,):
                raise EarmarkError(f"{statistics.size} values came, {size} expected")
            if not np.isfinite(statistics).all() or statistics[0] <= 0:
                raise EarmarkError("values came that are no statistics of speech")

    @property
    def _parts(self) -> list[tuple[str, Sums]]:
        """The condition and the statistics (size,) of all that is added up here."""
        updates = [(update.condition, update.statistics) for update in self.updates]
        return [*self.conditions.items(), *updates]

    def _holds(self, condition: str, statistics: Sums) -> bool:
        return any(
            known == condition and np.array_equal(sums, statistics) for known, sums in self._parts
        )


def encode(value: Any) -> bytes:
    """MessagePack of a ledger, or of a structure that holds some."""
    return msgspec.msgpack.encode(value, enc_hook=_to_bytes)


def decode(data: bytes, kind: type[T]) -> T:
    """What `encode` was given; the statistics are still to be checked.

    Raises:
        msgspec.DecodeError: it is no MessagePack, or not of this kind.
    """
    return parse(msgspec.msgpack.Decoder(kind, dec_hook=_from_bytes).decode, data)


def _added(conditions: Mapping[str, Sums], condition: str, statistics: Sums) -> dict[str, Sums]:
    known = conditions.get(condition)
    return {**conditions, condition: statistics if known is None else known + statistics}


def _to_bytes(value: object) -> bytes:
    if not isinstance(value, np.ndarray):
        raise NotImplementedError(f"{type(value)} cannot be stored")
    return value.astype("<f8").tobytes()


def _from_bytes(kind: type, data: object) -> Sums:
    if not isinstance(data, bytes):
        raise ValueError("expected bytes")
    return np.frombuffer(data, dtype="<f8").astype(np.float64)
