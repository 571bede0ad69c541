"""Enrolled speakers on disk: statistics alone, never audio, readable by their owner alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

from edge.database import BUSY_SECONDS, Database
from edge.encoder import Model
from edge.errors import EarmarkError
from edge.ledger import DEFAULT_CONDITION, Ledger, Update, decode, encode
from edge.names import check_name, composed
from edge.speaker_export import decode_export, encode_export
from edge.speaker_table import Row, SpeakerTable, read_cipher
from edge.statistics import Grown, Profile, Sums
from edge.user_folder import user_folder

# Sees what is to be added to a speaker and what is known of them, and may refuse it.
Agreement = Callable[[Profile, Sequence[Profile]], None]


def default_path() -> Path:
    """`$XDG_DATA_HOME/earmark/speakers.db`, by default below ~/.local/share.

    Raises:
        EarmarkError: the user has no home.
    """
    return user_folder("XDG_DATA_HOME", ".local/share") / "speakers.db"


class Store:
    """The enrolled speakers of one database; a context manager."""

    def __init__(
        self,
        path: Path | None,
        model: Model,
        create: bool = True,
        key: Path | None = None,
        patience: float = BUSY_SECONDS,
    ) -> None:
        """Open the database, and create it if it is not there and `create` is asked for.

        Profiles are those made with `model`. A store in which nobody is enrolled yet is encrypted
        from the first time on that it is opened with a key file. Other processes that use it are
        waited for `patience` seconds at most.

        Raises:
            EarmarkError: not a database of this kind, or not accessible, or not there; or the key
                is missing, another one, or for a store that is not encrypted.
        """
        self.path = path or default_path()
        self._model = model
        if not create and not self.path.exists():
            raise EarmarkError(
                f"nobody is enrolled: there is no store at {self.path}",
                "Begin with 'earmark enroll NAME FILE'",
            )
        cipher = read_cipher(key)  # or no store is made
        self._database = Database(self.path, patience)
        try:
            self._table = SpeakerTable(self._database, cipher)
        except BaseException:
            self._database.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._database.close()

    def names(self) -> list[str]:
        """Everybody enrolled, with whichever model."""
        return self._table.names()

    def profiles(self) -> list[Profile]:
        """All speakers enrolled with this model, by name.

        Raises:
            EarmarkError: a profile belongs to another model, or its bytes are damaged.
        """
        return [Profile(row.name, self._parse(row).total) for row in self._table.rows()]

    def profile(self, name: str) -> Profile:
        """One speaker.

        Raises:
            EarmarkError: nobody of that name, or the profile is another model's or damaged.
        """
        return Profile(name, self.ledger(name).total)

    def others(self, name: str, most: int) -> list[Profile]:
        """The first other speakers by name who can be compared with this one's speech."""
        profiles: list[Profile] = []
        for other in self.names():
            if len(profiles) == most:
                break
            # Of those who cannot, the commands tell in which they are asked for.
            if other != composed(name):
                with suppress(EarmarkError):
                    profiles.append(self.profile(other))
        return profiles

    def ledger(self, name: str) -> Ledger:
        """What one speaker's profile is the sum of.

        Raises:
            EarmarkError: nobody of that name, or the profile is another model's or damaged.
        """
        ledger = self._find(name)
        if ledger is None:
            raise _nobody(name)
        return ledger

    def enrol(
        self,
        profile: Profile,
        check: Callable[[Profile], None] | None = None,
        condition: str = DEFAULT_CONDITION,
    ) -> Grown:
        """Add a speaker, or more speech to one that is known.

        `check` sees the grown profile before it is written, and may refuse it by an exception.

        Raises:
            EarmarkError: no name for a speaker or a condition, too many conditions, no statistics,
                or what is known is another model's or damaged.
        """
        check_name(profile.name)
        new = Ledger({condition: profile.statistics})
        self._check(profile.name, new)
        with self._table.transaction():
            known = self._find(profile.name)
            ledger = known.merge(new) if known else new
            grown = Profile(profile.name, ledger.total)
            if check is not None:
                check(grown)
            self._put(profile.name, ledger)
        return Grown(grown, known is not None and known.repeats(new))

    def adapt(self, name: str, statistics: Sums, condition: str = DEFAULT_CONDITION) -> Grown:
        """Add speech (size,) that matching recognised.

        It lies apart from what was enrolled, so that the last of these updates can be undone.

        Raises:
            EarmarkError: nobody of that name is enrolled, or as for `enrol`.
        """
        new = Ledger({condition: statistics})
        self._check(name, new)
        with self._table.transaction():
            ledger = self.ledger(name)
            again = ledger.repeats(new)
            if not again:
                ledger = ledger.adapt(condition, statistics)
                self._put(name, ledger)
        return Grown(Profile(name, ledger.total), again)

    def undo(self, name: str) -> Update:
        """Take back the last update, which is returned; the profile is what it was before it.

        Raises:
            EarmarkError: nobody of that name, there is no update, or the profile cannot be used.
        """
        with self._table.transaction():
            ledger = self.ledger(name)
            if not ledger.updates:
                raise EarmarkError(
                    f"the profile of '{name}' has no update that could be undone",
                    "What was enrolled stays; to begin anew, forget the speaker first",
                )
            self._put(name, ledger.undo())
        return ledger.updates[-1]

    def rename(self, name: str, new: str) -> None:
        """Give a speaker another name.

        Raises:
            EarmarkError: nobody of that name, no name for a speaker, or it is somebody else's.
        """
        check_name(new)
        with self._table.transaction():
            row = self._table.find(name)
            if row is None:
                raise _nobody(name)
            if self._table.find(new) is not None:
                raise EarmarkError(
                    f"cannot rename '{name}': somebody is enrolled as '{new}' already",
                    "Choose another name, or forget that one first",
                )
            self._table.delete(name)
            self._table.put(row._replace(name=new))

    def merge(self, name: str, other: str, check: Agreement | None = None) -> Grown:
        """Add to one speaker all that is known of another, who is erased.

        Raises:
            EarmarkError: nobody of one of the names, both are the same, too many conditions, a
                profile cannot be used, or `check` refuses.
        """
        if name == other:
            raise EarmarkError(f"cannot merge '{name}' with itself", "Give two speakers")
        with self._table.transaction():
            grown = self._add(name, self.ledger(name), self.ledger(other), check)
            self._table.delete(other)
        self._database.erase_deleted()
        return grown

    def forget(self, name: str) -> None:
        """Erase a speaker.

        Raises:
            EarmarkError: nobody of that name is enrolled.
        """
        with self._table.transaction():
            if not self._table.delete(name):
                raise _nobody(name)
        self._database.erase_deleted()

    def encrypt(self, key: Path) -> None:
        """Encrypt the store, which from now on opens with this key file alone.

        Raises:
            EarmarkError: no key in that file, or the store is encrypted already.
        """
        self._table.encrypt(key)

    def export(self) -> bytes:
        """Everybody enrolled, in one file; sealed with the store's key if it has one.

        Raises:
            EarmarkError: a profile belongs to another model, or its bytes are damaged.
        """
        ledgers = {row.name: self._parse(row) for row in self._table.rows()}
        return encode_export(self._model, ledgers, self._table.cipher)

    def import_(self, data: bytes, merge: bool, check: Agreement | None = None) -> list[Grown]:
        """Add everybody who was exported, to those of the same name if `merge`; or nobody.

        Raises:
            EarmarkError: not what `export` gave, another model's or sealed with another key; or
                somebody in it is enrolled already, and not to be merged or `check` refuses.
        """
        ledgers = decode_export(data, self._model, self._table.cipher)
        with self._table.transaction():
            return [self._import(name, ledgers[name], merge, check) for name in sorted(ledgers)]

    def _import(self, name: str, ledger: Ledger, merge: bool, check: Agreement | None) -> Grown:
        known = self._find(name)
        if known is None:
            self._put(name, ledger)
            return Grown(Profile(name, ledger.total), False)
        if not merge:
            raise EarmarkError(
                f"somebody is enrolled as '{name}' already; nobody was imported",
                "Add --merge if they are the same, or rename one",
            )
        return self._add(name, known, ledger, check)

    def _add(self, name: str, known: Ledger, new: Ledger, check: Agreement | None) -> Grown:
        if check is not None:
            check(Profile(name, new.total), [Profile(name, known.total)])
        ledger = known.merge(new)
        self._put(name, ledger)
        return Grown(Profile(name, ledger.total), known.repeats(new))

    def _find(self, name: str) -> Ledger | None:
        row = self._table.find(name)
        return self._parse(row) if row else None

    def _put(self, name: str, ledger: Ledger) -> None:
        self._check(name, ledger)
        self._table.put(Row(name, self._model.id, encode(ledger)))

    def _check(self, name: str, ledger: Ledger) -> None:
        try:
            ledger.check(self._model.statistics_size)
        except EarmarkError as error:
            raise EarmarkError(
                f"cannot change the profile of '{name}': {error.what}",
                error.remedy or "It was left as it was",
            ) from error

    def _parse(self, row: Row) -> Ledger:
        if row.model != self._model.id:
            raise EarmarkError(
                f"'{row.name}' was enrolled with the model {row.model}, "
                f"this one is {self._model.id}",
                "Give that model with --model, or a store of this one's own with --store, or run "
                f"'earmark speakers forget {row.name}' and enrol again",
            )
        try:
            ledger = decode(row.ledger, Ledger)
            ledger.check(self._model.statistics_size)
        except (msgspec.DecodeError, EarmarkError) as error:
            raise EarmarkError(
                f"the profile of '{row.name}' is damaged: {error}",
                f"Run 'earmark speakers forget {row.name}' and enrol again",
            ) from error
        return ledger


def _nobody(name: str) -> EarmarkError:
    return EarmarkError(f"nobody is enrolled as '{name}'", "See 'earmark speakers list'")
