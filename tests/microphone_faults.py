"""The audio server of a running daemon is killed or frozen: what a subscriber is told, and when.

    python tests/microphone_faults.py 20    # each fault so many times, in random order; a table

The suite does it a few times, `make soak` as above.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from daemons import HANGING, next_event
from vmic import VirtualMicrophone

from edge.client import Subscriber
from edge.events import Envelope, SourceGap, SourceLost, SourceOpened, SourceRestored

RATE = 16_000
FAULTS = ("vanish", "freeze")
RUN = "import sys; from edge.cli import main; sys.exit(main({words!r}))"


class Outcome(NamedTuple):
    """One fault. Times in seconds; `astray` is by how much positions are off the clock after it."""

    fault: str
    told: float  # from the fault to source.lost
    back: float  # from the device's return to source.restored
    astray: float


class Resources(NamedTuple):
    """What the daemon's process holds while it hears its microphone."""

    threads: int
    descriptors: int
    children: int


@contextmanager
def microphone_daemon(microphone: VirtualMicrophone, endpoint: str, folder: Path) -> Iterator[int]:
    """The real daemon hearing a virtual microphone; its process id."""
    words = ["run", "--mic", microphone.name, "--endpoint", endpoint, "--wait-subscriber"]
    words += ["--store", str(folder / "speakers.db")]
    with microphone.record(RUN.format(words=words)) as daemon:
        yield daemon.pid
        daemon.terminate()
        assert daemon.wait(HANGING) == 0


def run_faults(faults: list[str]) -> tuple[list[Outcome], Resources, Resources]:
    """The outcome of each fault, and what the daemon holds before and after all of them."""
    with tempfile.TemporaryDirectory() as name, VirtualMicrophone() as microphone:
        endpoint = f"ipc://{name}/events"
        with (
            microphone_daemon(microphone, endpoint, Path(name)) as pid,
            Subscriber(endpoint) as events,
        ):
            opened = await_event(events, SourceOpened)
            await_position(events, opened, 2 * RATE)
            before = resources(pid)
            outcomes = [one_fault(microphone, fault, events, opened) for fault in faults]
            after = resources(pid)
            assert events.missed == 0
    return outcomes, before, after


def one_fault(
    microphone: VirtualMicrophone, fault: str, events: Subscriber, opened: Envelope
) -> Outcome:
    away = random.uniform(0.5, 3.0)
    began = time.time()
    getattr(microphone, fault)()
    told = await_event(events, SourceLost).utc - began
    time.sleep(away)
    if fault == "freeze":
        microphone.thaw()
    else:
        microphone.come_back()
    returned = time.time()
    restored = await_event(events, SourceRestored)
    gap = await_event(events, SourceGap)
    assert isinstance(gap.event, SourceGap)
    astray = gap.event.end / RATE - (gap.utc - opened.utc)
    return Outcome(fault, told, restored.utc - returned, astray)


def await_event(events: Subscriber, kind: type) -> Envelope:
    while not isinstance((envelope := next_event(events)).event, kind):
        pass
    return envelope


def await_position(events: Subscriber, opened: Envelope, sample: int) -> None:
    """Until the daemon has surely heard so much: it says so in heartbeats."""
    while next_event(events).sample < opened.sample + sample:
        pass


def resources(pid: int) -> Resources:
    process = Path("/proc") / str(pid)
    return Resources(
        len(os.listdir(process / "task")), len(os.listdir(process / "fd")), len(children(pid))
    )


def children(pid: int) -> list[int]:
    """Processes that any thread of a process has started, and that still are there."""
    tasks = (Path("/proc") / str(pid) / "task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def main(count: int) -> int:
    faults = [fault for fault in FAULTS for _ in range(count)]
    random.shuffle(faults)
    outcomes, before, after = run_faults(faults)
    print(f"{'':10} {'times':>5}  {'told, s':>15}  {'back, s':>15}  {'off the clock, s':>16}")
    print(f"{'':10} {'':5}  {'median':>7} {'most':>7}  {'median':>7} {'most':>7}  {'most':>16}")
    for fault in FAULTS:
        own = [outcome for outcome in outcomes if outcome.fault == fault]
        told, back = ([getattr(o, field) for o in own] for field in ("told", "back"))
        astray = max(abs(o.astray) for o in own)
        print(
            f"{fault:10} {len(own):5}  {np.median(told):7.2f} {max(told):7.2f}"
            f"  {np.median(back):7.2f} {max(back):7.2f}  {astray:16.2f}"
        )
    print(f"{'aim':10} {'':5}  {'':7} {1:7.2f}  {'':7} {3:7.2f}")
    print(f"before {before}\nafter  {after}")
    return 0 if before == after else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
