"""What the daemon tells whoever looks after it: plain lines for people, JSON lines for programs.

Every line has a kind, one of a few fixed words such as `source.lost`. What commands do is told
without the names of speakers, because logs outlive `forget`.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections import defaultdict
from typing import Literal

from edge.printable import printable

Style = Literal["auto", "plain", "json"]
Level = Literal["info", "warning", "error"]

LINES, PERIOD = 20, 60.0  # of one kind and stream in so many seconds; strangers cause some of them
_logger = logging.getLogger("earmark")
_logger.addHandler(logging.NullHandler())  # silent where nobody has set it up


def info(kind: str, what: str, **fields: object) -> None:
    """Something happened as it should. `fields` are for programs, `stream` among them."""
    _logger.info(what, extra={"kind": kind, "fields": fields})


def warning(kind: str, what: str, **fields: object) -> None:
    """Something went wrong, and the daemon goes on."""
    _logger.warning(what, extra={"kind": kind, "fields": fields})


def error(kind: str, what: str, **fields: object) -> None:
    """Something that was asked for was not done."""
    _logger.error(what, extra={"kind": kind, "fields": fields})


def set_up(style: Style, level: Level, *libraries: str) -> None:
    """Write to standard error from now on, in place of what was set up before.

    `auto` is JSON where standard error is systemd's journal, and plain elsewhere. `libraries` are
    names of their loggers, which write likewise, and without tracebacks.
    """
    as_json = style == "json" or (style == "auto" and _is_journal())
    handler = logging.StreamHandler(sys.stderr) if sys.stderr else logging.NullHandler()
    handler.setFormatter(_Json() if as_json else _Plain())
    handler.addFilter(_Sparing())
    for logger in (_logger, *map(logging.getLogger, libraries)):
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level.upper())


def _is_journal() -> bool:
    """Whether standard error is what systemd says that its journal reads."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):  # it may be closed
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _what(record: logging.LogRecord) -> str:
    _, error, _ = record.exc_info or (None, None, None)
    why = f": {type(error).__name__}: {error}" if error else ""
    return f"{record.getMessage()}{why}"


def _kind(record: logging.LogRecord) -> str:
    return getattr(record, "kind", record.name)


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        stream = f"{fields['stream']}: " if "stream" in fields else ""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        return printable(f"earmark: {clock} {stream}{_what(record)}")  # devices choose their names


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "utc": round(record.created, 3),
            "level": record.levelname.lower(),
            "kind": _kind(record),
            "what": _what(record),
        }
        return json.dumps(line | getattr(record, "fields", {}))


class _Sparing(logging.Filter):
    """Lets a number of lines of each kind and stream through in a period; tells what it left out.

    Kinds are fixed and streams few, so that what it remembers is bounded.
    """

    def __init__(self) -> None:
        super().__init__()
        self._began = 0.0
        self._counts: defaultdict[tuple[object, object], int] = defaultdict(int)

    def filter(self, record: logging.LogRecord) -> bool:
        if not 0.0 <= record.created - self._began < PERIOD:
            self._began = record.created
            self._counts.clear()
        key = (_kind(record), getattr(record, "fields", {}).get("stream"))
        self._counts[key] += 1
        if self._counts[key] == LINES:
            record.msg = f"{record.msg} (more of this kind are left out for a minute)"
        return self._counts[key] <= LINES
