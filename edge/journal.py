"""The last events on disk, so that a subscriber that missed some can have them again.

A folder of segments, files of one event a line. The file's name is the `seq` of its first line, so
that there is no index to keep. The oldest segment goes when there are too many bytes. What was
appended survives the death of the process.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import threading
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from edge import log
from edge.errors import EarmarkError
from edge.journal_lines import in_a_row, numbered
from edge.private_file import make_private
from edge.untrusted import parse
from edge.user_folder import user_folder
from edge.whole_file import sync

LIMIT = 64 << 20  # bytes; at five events a second some fifteen hours
SEGMENTS = 32  # into which the limit is divided
_IDENTITY = "journal.json"
_LOCK = "journal.lock"  # and not the folder, which may be that of the store, and is locked for it
_PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # a later try may succeed
_DIGITS = 20  # in the name of a segment
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def default_journal(endpoint: str) -> Path:
    """`$XDG_STATE_HOME/earmark/journals/ENDPOINT`, by default below ~/.local/state.

    Raises:
        EarmarkError: the user has no home.
    """
    folder = user_folder("XDG_STATE_HOME", ".local/state") / "journals"
    return folder / quote(endpoint, safe=":*")


class _Identity(msgspec.Struct, frozen=True):
    """Which numbering this is, and how its last run ended."""

    journal: str
    run: int
    boot: str
    closed: bool
    end: int | None = None  # the number after the last event, once it is closed


_IDENTITIES = msgspec.json.Decoder(_Identity)


class _Segment(NamedTuple):
    first: int
    path: Path


class Journal:
    """Numbers events without a hole or a repeat, from run to run of the daemon, and keeps the last.

    `append` belongs to one thread at a time; `read` to any.

    Attributes:
        session: `JOURNAL.RUN`. As long as the first part stays the same, the numbers go on; where
            the last lines are missing, or may be after a power cut, a new journal begins with 0.
        next: the number that the next event gets.
        unwritten: events of this run that could not be kept, for instance because the disk is full.
    """

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        """Open the journal in `folder`, or begin one, of at most about `limit` bytes.

        Raises:
            EarmarkError: another process uses it, or the folder cannot be written.
        """
        self._folder = folder
        self._limit = limit
        self._lock = threading.Lock()
        self._file: int | None = None
        self._size = 0  # of the segment that is written
        self._partial = False  # whether a failed write may have left half a line in it
        self._failing = False  # whether the last event could not be kept
        self.unwritten = 0
        try:
            make_private(folder)
            self._held = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._open()
        except BlockingIOError as error:
            os.close(self._held)
            raise EarmarkError(
                f"the journal {folder} is in use by another daemon",
                "Stop that one, or choose another folder with --journal",
            ) from error
        except OSError as error:
            os.close(self._held)
            raise self._unusable(error) from error

    @property
    def first(self) -> int:
        """The oldest number that can still be read; `next` where there is none."""
        with self._lock:
            return self._segments[0].first if self._segments else self.next

    def append(self, line: bytes) -> None:
        """Keep the event whose `seq` is `next`, a line of JSON without its end. It never fails.

        An event that cannot be written is counted; the journal then has a hole where it was.
        """
        data = line + b"\n"
        try:
            self._write(data)
        except OSError as error:
            passes = error.errno in _PASSING  # what is kept is not in its way
            if len(self._segments) > 1 and not passes:  # a full disk: the newest matter most
                with suppress(OSError):
                    self._drop_oldest()
                    self._write(data)
                    self.next += 1
                    return
            self._give_up(error)
        else:
            if self._failing:
                self._failing = False
                log.info("journal.restored", f"events are kept in {self._folder} again")
        self.next += 1

    def read(self, start: int, count: int, size: int) -> tuple[int, list[bytes]]:
        """At most `count` events of together about `size` bytes, from number `start` on.

        Returns:
            The number of the first event, which is greater than `start` where that is gone or the
            disk has damaged it, and the events, which follow each other without a hole. No events:
            there are none from `start` on.

        Raises:
            OSError: the machine has no files or memory left just now; the events are still there.
        """
        with self._lock:
            end = self.next
            segments = list(self._segments)
        if start >= end:  # most who ask have all there is; they ask every half second
            return end, []
        later = [s for s in segments if s.first > start]
        holder = segments[len(segments) - len(later) - 1 : len(segments) - len(later)]
        for segment in [*holder, *later]:
            try:
                with segment.path.open("rb") as file:  # never whole in memory
                    lines = numbered(file, segment.first)
                    wanted = ((n, x[:-1]) for n, x in lines if n is not None and start <= n < end)
                    first, found = in_a_row(wanted, count, size)
            except FileNotFoundError:  # dropped in the meantime
                continue
            except OSError as error:
                if error.errno in _PASSING:
                    raise
                what = f"cannot read events in {segment.path}: {error.strerror or error}"
                log.error("journal.unread", what)
                continue
            if found:
                return first, found
        return end, []

    def close(self) -> None:
        """Bring everything to the disk and let go of the folder."""
        if self._file is not None:
            os.close(self._file)
        if not self.unwritten:  # else the next run begins a new journal
            with suppress(OSError):
                for segment in self._segments:
                    with suppress(FileNotFoundError):  # somebody removed it
                        sync(segment.path)
                self._save(msgspec.structs.replace(self._identity, closed=True, end=self.next))
        os.close(self._held)

    def _open(self) -> None:
        # Whatever else is there, were it of digits too, is somebody else's, and stays.
        ours = re.compile(rf"[0-9]{{{_DIGITS}}}")
        names = [path for path in self._folder.glob("*.jsonl") if ours.fullmatch(path.stem)]
        self._segments = sorted(_Segment(int(path.stem), path) for path in names)
        boot = _BOOT.read_text(encoding="ascii").strip() if _BOOT.exists() else ""
        last = self._load()
        end = self._end()
        if last is None or end is None or not self._goes_on(last, end, boot):
            while self._segments:
                self._segments.pop().path.unlink()
            last, end = _Identity(secrets.token_hex(6), -1, boot, closed=False), 0
        self._identity = _Identity(last.journal, last.run + 1, boot, closed=False)
        self._save(self._identity)
        self.session = f"{self._identity.journal}.{self._identity.run}"
        self.next = end
        if self._segments:
            self._file = os.open(self._segments[-1].path, os.O_WRONLY | os.O_APPEND)
        else:
            self._begin_segment()

    def _goes_on(self, last: _Identity, end: int, boot: str) -> bool:
        """Whether no event can have had a number from `end` on: else it would come twice."""
        if last.closed:
            return last.end in (None, end)  # None: closed by a version that did not keep it
        return last.boot == boot and bool(self._segments)

    def _end(self) -> int | None:
        """The number after the last event; None where the last line does not tell its own."""
        if not self._segments:
            return 0
        first, path = self._segments[-1]
        data = path.read_bytes()
        self._size = data.rfind(b"\n") + 1
        os.truncate(path, self._size)  # without half a line that a killed process left
        with path.open("rb") as file:
            numbers = [number for number, _ in numbered(file, first)]
        last = numbers[-1] if numbers else first - 1
        return None if last is None else last + 1

    def _load(self) -> _Identity | None:
        try:
            return parse(_IDENTITIES.decode, (self._folder / _IDENTITY).read_bytes())
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def _save(self, identity: _Identity) -> None:
        new = self._folder / f"{_IDENTITY}.new"
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(file, msgspec.json.encode(identity) + b"\n")
            os.fsync(file)
        finally:
            os.close(file)
        new.replace(self._folder / _IDENTITY)
        sync(self._folder)

    def _write(self, data: bytes) -> None:
        size, most = self._size + len(data), self._limit // SEGMENTS
        if self._file is None or size > most:
            try:
                self._begin_segment()
            except OSError as error:
                going_on = self._file is not None and size <= 2 * most
                if error.errno not in _PASSING or not going_on:
                    raise
        assert self._file is not None
        if self._partial:
            os.truncate(self._file, self._size)
            self._partial = False
        self._partial = True
        written = os.write(self._file, data)
        if written != len(data):
            raise OSError("half a line was written")
        self._partial = False
        self._size += written

    def _begin_segment(self) -> None:
        path = self._folder / f"{self.next:0{_DIGITS}}.jsonl"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o600)
        if self._file is not None:
            os.close(self._file)
        self._file, self._size, self._partial = file, 0, False
        with self._lock:
            if not self._segments or self._segments[-1].first != self.next:
                self._segments.append(_Segment(self.next, path))
        while len(self._segments) > SEGMENTS:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        with self._lock:
            oldest = self._segments.pop(0)
        oldest.path.unlink(missing_ok=True)

    def _give_up(self, error: OSError) -> None:
        """The numbers on disk stop here: should this run be killed, the next must not go on."""
        if not self._failing:
            self._failing = True
            log.error(
                "journal.unwritten",
                f"cannot keep events in {self._folder}: {error.strerror or error}",
            )
        if not self.unwritten:
            with suppress(OSError):
                (self._folder / _IDENTITY).unlink()
        self.unwritten += 1
        if self._file is not None:
            with suppress(OSError):
                os.truncate(self._file, self._size)
            os.close(self._file)
            self._file = None
            if not self._size:
                with self._lock:
                    empty = self._segments.pop()
                empty.path.unlink()

    def _unusable(self, error: OSError) -> EarmarkError:
        return EarmarkError(
            f"cannot keep the journal in {self._folder}: {error.strerror}",
            "Check its permissions and the space on the disk, or choose another with --journal",
        )
