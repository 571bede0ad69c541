"""Risk: the unit that a device runs for months fails under the systemd that is to run it."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator

import pytest
from daemons import HANGING
from microphone_faults import await_event
from service_machine import ServiceMachine, require
from vmic import VirtualMicrophone
from vmic import require as require_microphones

from edge.client import Subscriber
from edge.events import Health
from edge.protocol import Status, StatusRequest
from edge.requests import command

CONFIG = "endpoint: ipc:///run/earmark/events\nsource: {mic: vmic}\nhealth_seconds: 0.5\n"


@pytest.fixture(scope="module")
def machine() -> Iterator[ServiceMachine]:
    require()
    require_microphones()
    with VirtualMicrophone() as microphone, ServiceMachine(CONFIG, microphone) as machine:
        machine.systemctl("start", "earmark")  # returns once the daemon says that it is ready
        yield machine


def endpoint(machine: ServiceMachine) -> str:
    return f"ipc://{machine.root}/run/earmark/events"


def test_it_hears_its_microphone_and_is_ready(machine: ServiceMachine) -> None:
    unit = machine.show()
    assert (unit["ActiveState"], unit["SubState"], unit["NRestarts"]) == ("active", "running", "0")
    assert unit["StatusText"] == "hearing 1 of 1 streams"
    with Subscriber(endpoint(machine)) as events:
        first, second = (await_event(events, Health).event for _ in range(2))
    assert isinstance(first, Health)
    assert isinstance(second, Health)
    assert second.sample > first.sample
    status = command(endpoint(machine), StatusRequest(id=1))
    assert isinstance(status, Status)


def test_what_it_keeps_is_its_own(machine: ServiceMachine) -> None:
    folder = machine.root / "var/lib/private/earmark"
    assert any(folder.iterdir())
    owners = set()
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        owners.add(status.st_uid)
        assert not stat.S_IMODE(status.st_mode) & 0o077, path
    assert len(owners) == 1
    assert owners.isdisjoint({0})  # it is not root


def test_a_reload_is_heard(machine: ServiceMachine) -> None:
    config = machine.root / "etc/earmark.yaml"
    config.write_text(CONFIG.replace("0.5", "0.25"))
    before = machine.show()["MainPID"]
    machine.systemctl("reload", "earmark")
    end = time.monotonic() + HANGING
    while "reload was carried out" not in machine.journal():
        assert time.monotonic() < end, machine.journal()
        time.sleep(0.1)
    assert machine.show()["MainPID"] == before


@pytest.mark.parametrize(("signal", "why"), [("SIGKILL", "signal"), ("SIGSTOP", "watchdog")])
def test_it_comes_back_and_goes_on_counting(machine: ServiceMachine, signal: str, why: str) -> None:
    """Killed, or hanging until systemd's patience ends."""
    with Subscriber(endpoint(machine)) as events:
        before = await_event(events, Health)
    unit = machine.show()
    restarts = int(unit["NRestarts"])
    machine.kill(signal)
    again = machine.until(NRestarts=str(restarts + 1), ActiveState="active", SubState="running")
    assert again["MainPID"] != unit["MainPID"]
    assert f"result '{why}'" in machine.journal()
    with Subscriber(endpoint(machine)) as events:
        after = await_event(events, Health)
    assert after.seq > before.seq


def test_it_stops_in_time_and_leaves_nothing(machine: ServiceMachine) -> None:
    assert machine.processes()
    machine.systemctl("stop", "earmark")
    assert machine.show()["ActiveState"] == "inactive"
    assert "earmark.service: Deactivated successfully." in machine.journal()
    assert not (machine.root / "run/earmark").exists()
    assert machine.processes() == []
