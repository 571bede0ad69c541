"""Risk: a microphone goes and comes back, and the daemon ends, is silent about it, or leaks."""

from __future__ import annotations

import random
import time
from pathlib import Path

from daemons import HANGING, until_end
from microphone_faults import RUN, await_event, children, run_faults
from vmic import VirtualMicrophone, require

from edge.client import Subscriber
from edge.events import Health, SourceOpened


def test_every_loss_and_return_is_told_and_nothing_leaks() -> None:
    """`make soak` does this 20 times each, and says how long everything took."""
    require()
    faults = ["vanish", "freeze"]
    random.shuffle(faults)
    outcomes, before, after = run_faults(faults)
    assert [outcome.fault for outcome in outcomes] == faults
    assert after == before
    assert before.children == 1
    for outcome in outcomes:
        assert abs(outcome.astray) < 1.0, outcome  # of seconds away, told to some tenths


def run_words(folder: Path, mic: str) -> tuple[str, list[str]]:
    """Where a daemon on this microphone publishes, and its command line."""
    endpoint = f"ipc://{folder / 'events'}"
    words = ["run", "--mic", mic, "--endpoint", endpoint, "--wait-subscriber"]
    return endpoint, [*words, "--store", str(folder / "speakers.db")]


def test_a_microphone_that_is_missing_at_the_start_is_one_clear_error(tmp_path: Path) -> None:
    require()
    endpoint, words = run_words(tmp_path, "kitchen")
    with VirtualMicrophone() as microphone, microphone.record(RUN.format(words=words)) as daemon:
        with Subscriber(endpoint) as events:
            (only,) = until_end(events)
        _, log = daemon.communicate(timeout=HANGING)
    assert isinstance(only.event, Health)
    assert daemon.returncode == 1
    complaint = log.decode().splitlines()[-1]
    assert complaint.startswith("earmark: ")
    assert "expected one microphone 'kitchen', found 0. There is: " in complaint
    assert "vmic" in complaint


def test_a_daemon_that_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    require()
    endpoint, words = run_words(tmp_path, "vmic")
    with VirtualMicrophone() as microphone, microphone.record(RUN.format(words=words)) as daemon:
        with Subscriber(endpoint) as events:
            await_event(events, SourceOpened)
        (capture,) = children(daemon.pid)
        daemon.kill()
        daemon.wait()
        deadline = time.monotonic() + HANGING
        while is_running(capture):
            assert time.monotonic() < deadline, "the microphone is still captured"
            time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # dead, and nobody has asked for its status
