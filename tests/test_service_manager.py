"""Risk: systemd takes the daemon for ready before it hears, or for alive when it hangs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from daemons import HANGING
from numpy.typing import NDArray
from running import running
from service_machine import UNIT
from test_daemon_streams import Endless, Takes, second
from test_metrics import free_port
from tiny_daemon import SECOND, TinyPipeline

from edge.daemon import Stream, serve
from edge.events import Event
from edge.publisher import Publisher
from edge.signals import Stop
from edge.sources import Source
from edge.systemd import Notifier


class Manager:
    """The service manager's end: a real datagram socket."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(name.replace("@", "\0", 1))

    def told(self, patience: float = HANGING) -> str | None:
        self._socket.settimeout(patience)
        try:
            return self._socket.recv(4096).decode()
        except TimeoutError:
            return None

    def until(self, wanted: str) -> list[str]:
        lines: list[str] = []
        while (line := self.told()) != wanted:
            assert line is not None, f"no {wanted} after {lines}"
            lines.append(line)
        return lines

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@earmark-{os.getpid()}"
    manager = Manager(name)
    yield manager
    manager.close()


def test_a_daemon_tells_that_it_is_ready_alive_and_stopping(
    manager: Manager, tmp_path: Path
) -> None:
    environment = os.environ | {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "300000"}
    with running(tmp_path, environment) as daemon:
        manager.until("READY=1")
        assert "STATUS=hearing 1 of 1 streams" in manager.until("WATCHDOG=1")
        manager.until("WATCHDOG=1")
        daemon.process.terminate()
        manager.until("STOPPING=1")
        assert daemon.process.wait(HANGING) == 0


def test_a_daemon_that_waits_for_a_subscriber_is_ready_alive_and_measured(
    manager: Manager, tmp_path: Path
) -> None:
    environment = os.environ | {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "300000"}
    address = f"127.0.0.1:{free_port()}"
    with running(tmp_path, environment, wait_for_subscriber=True, metrics=address) as daemon:
        manager.until("READY=1")
        manager.until("STATUS=waiting for a subscriber")
        manager.until("WATCHDOG=1")
        manager.until("WATCHDOG=1")
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=HANGING) as page:
            assert b"earmark_" in page.read()
        daemon.process.terminate()
        manager.until("STOPPING=1")
        assert daemon.process.wait(HANGING) == 0
        daemon.line("stopped")


@contextmanager
def served(manager: Manager, tmp_path: Path, *streams: Stream) -> Iterator[None]:
    """The streams in a thread; the watchdog's patience is 0.3 s."""
    notifier = Notifier({"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "300000"})
    stop = Stop()
    with Publisher(f"ipc://{tmp_path / 'e'}", tmp_path / "journal") as publisher:
        thread = threading.Thread(
            target=serve, args=(streams, publisher, stop), kwargs={"notifier": notifier}
        )
        thread.start()
        try:
            yield
        finally:
            stop.ask()
            thread.join()


def test_it_is_ready_once_every_source_is_open(manager: Manager, tmp_path: Path) -> None:
    plugged = threading.Event()

    def slow() -> Source:
        plugged.wait(HANGING)
        return Endless()

    streams = [
        Stream(name, source, TinyPipeline()) for name, source in (("a", Endless), ("b", slow))
    ]
    with served(manager, tmp_path, *streams):
        before = [line for _ in range(2) for line in manager.until("WATCHDOG=1")]
        plugged.set()
        before += manager.until("READY=1")
    assert set(before) <= {"WATCHDOG=1"}  # it was alive, and not ready


def test_a_daemon_that_hangs_is_not_alive(manager: Manager, tmp_path: Path) -> None:
    begun, release = threading.Event(), threading.Event()

    class Hanging(TinyPipeline):
        def push(self, samples: NDArray[np.float32]) -> list[Event]:
            begun.set()
            release.wait(HANGING)
            return super().push(samples)

    source = Takes("a", (SECOND, [second(SECOND)]))
    endless = Stream("b", Endless, TinyPipeline())
    with served(manager, tmp_path, Stream("a", lambda: source, Hanging()), endless):
        try:
            assert begun.wait(HANGING)
            while manager.told(0.05) is not None:
                pass
            assert manager.told(0.6) is None  # twice its patience
        finally:
            release.set()
        manager.until("WATCHDOG=1")


def test_another_process_is_not_watched() -> None:
    silent = Notifier({"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"})
    silent.ready()
    silent.alive()  # to nobody, without an error


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_unit_is_valid_and_hardened(tmp_path: Path) -> None:
    unit = tmp_path / "earmark.service"
    text = UNIT.read_text(encoding="utf-8")
    unit.write_text(text.replace("/usr/local/bin/earmark", shutil.which("true") or "/bin/true"))
    verify = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (verify.returncode, verify.stderr) == (0, "")
    subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", str(unit)],
        capture_output=True,
        check=True,
    )
