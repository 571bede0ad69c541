"""Real daemons in real processes, for the tests of what a subscriber gets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.client import Subscriber
from edge.events import Envelope, Health

HANGING = 60.0  # seconds; against a hanging test run, not a measure of speed


@contextmanager
def tiny_daemon(endpoint: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`tests/tiny_daemon.py` in a process that does not outlive the test."""
    script = Path(__file__).with_name("tiny_daemon.py")
    process = subprocess.Popen(
        [sys.executable, str(script), endpoint, *options], stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def next_event(events: Subscriber) -> Envelope:
    envelope = events.receive(HANGING)
    assert envelope is not None, "no event came"
    return envelope


def until_end(events: Subscriber) -> list[Envelope]:
    """All envelopes up to the last heartbeat."""
    envelopes: list[Envelope] = []
    while True:
        envelopes.append(next_event(events))
        last = envelopes[-1].event
        if isinstance(last, Health) and last.final:
            return envelopes
