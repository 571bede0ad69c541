"""Risk: something goes wrong on a device that nobody watches, and the log is silent, or drowns."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zmq
from daemons import HANGING
from running import basic, running
from test_daemon_streams import Takes, heard, second
from tiny_daemon import SECOND, TinyPipeline

from edge import log
from edge.client import Subscriber
from edge.clock import now
from edge.daemon import Stream
from edge.endpoints import request_endpoint
from edge.keyring import Client, change_keyring, make_keyring
from edge.publisher import Publisher
from edge.reader import Heard, Opened
from edge.requests import Keys
from edge.sources import Block
from edge.station import Station


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is logged, as JSON lines."""
    output = io.StringIO()
    monkeypatch.setattr(sys, "stderr", output)
    log.set_up("json", "info")
    return output


def told(lines: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def test_losses_and_returns_are_told_with_their_place(lines: io.StringIO, tmp_path: Path) -> None:
    source = Takes(
        "USB\n\x1b[2J",
        (SECOND, [second(SECOND)]),
        (SECOND, [second(SECOND, lost=SECOND // 2, gap=3 * SECOND)]),
    )
    heard(tmp_path, Stream("mic", lambda: source, TinyPipeline()))
    said = [(line["kind"], line["level"], line.get("sample")) for line in told(lines)]
    assert said == [
        ("source.opened", "info", 0),
        ("source.lost", "warning", SECOND),
        ("source.restored", "info", SECOND),
        ("source.gap", "warning", SECOND),
        ("source.overflow", "warning", 4 * SECOND),
        ("source.lost", "info", 5 * SECOND + SECOND // 2),
    ]
    assert all(line["stream"] == "mic" for line in told(lines))


def test_falling_behind_is_told_step_by_step(lines: io.StringIO, tmp_path: Path) -> None:
    with Publisher(f"ipc://{tmp_path / 'e'}", tmp_path / "journal") as publisher:
        station = Station("mic", TinyPipeline(), publisher)
        station.take(Opened("USB", SECOND, 1))
        for lag in (0.0, 1.5, 1.6, 2.5):
            block = Block(np.zeros(160, dtype=np.float32), at=now() - lag)
            station.take(Heard(block, now(), None))
    steps = [(line["kind"], line["level"], line.get("shedding")) for line in told(lines)]
    assert steps == [
        ("source.opened", "info", None),
        ("overload", "warning", 1),
        ("overload", "warning", 2),
    ]


def test_a_flood_leaves_a_line_that_says_so(lines: io.StringIO) -> None:
    for number in range(10_000):
        log.warning("request.malformed", f"flood {number}")
    log.info("command", "and another kind still comes through")
    said = told(lines)
    assert len(said) == log.LINES + 1
    assert "left out" in str(said[-2]["what"])
    assert said[-1]["kind"] == "command"


def test_what_a_library_says_is_a_line_too_and_as_sparing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.set_up("json", "warning", "library")
    for _ in range(2 * log.LINES):
        try:
            raise ValueError("no handshake")
        except ValueError:
            logging.getLogger("library.net").exception("in a callback")
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert len(said) == log.LINES
    assert said[0]["kind"] == "library.net"
    assert said[0]["what"] == "in a callback: ValueError: no handshake"


def test_a_client_without_a_right_is_told_and_its_keys_are_public(
    lines: io.StringIO, tmp_path: Path
) -> None:
    daemon = make_keyring(tmp_path / "daemon")
    friend, stranger = (make_keyring(tmp_path / name) for name in ("friend", "stranger"))
    client = Client("f", friend.public, commands=False)
    change_keyring(tmp_path / "daemon", lambda ring: ring.allow(client))
    with Publisher("tcp://127.0.0.1:*", tmp_path / "journal", tmp_path / "daemon") as publisher:
        keys = Keys(tmp_path / "stranger", daemon.public)
        with Subscriber(publisher.endpoint, keys=keys) as events:
            assert not events.join(1.0)
    refused = next(line for line in told(lines) if line["kind"] == "client.refused")
    assert refused["key"] == stranger.public
    for secret in (daemon.secret, friend.secret, stranger.secret):
        assert secret not in lines.getvalue()


def test_a_daemon_logs_what_it_is_told_and_what_is_no_request(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        daemon.line("publishing")
        daemon.line("source.opened")
        endpoint = basic(tmp_path)["endpoint"]
        with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
            socket.linger = 0
            socket.connect(request_endpoint(endpoint))
            socket.send(b"\xff garbage")
            assert daemon.line("request.malformed")["level"] == "warning"
            socket.send(b'{"v":1,"id":1,"type":"forget","name":"Mallory"}')
            assert daemon.line("command.failed")["level"] == "error"
        daemon.process.send_signal(signal.SIGTERM)
        daemon.line("stopped")
        assert daemon.process.wait(HANGING) == 0
    assert "Mallory" not in str(daemon.lines)  # logs outlive 'forget'


@pytest.mark.parametrize(("settings", "as_json"), [([], False), (["journal"], True)])
def test_lines_are_for_people_except_under_systemd(
    tmp_path: Path, settings: list[str], as_json: bool
) -> None:
    output = tmp_path / "stderr"
    program = "from edge import log; log.set_up('auto', 'warning');"
    program += "log.info('a', 'too little'); log.warning('b', 'mind \\x1b[2J this', stream='mic')"
    with output.open("wb") as file:
        status = os.fstat(file.fileno())
        journal = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"} if settings else {}
        subprocess.run([sys.executable, "-c", program], stderr=file, env=journal, check=True)
    (line,) = output.read_text(encoding="utf-8").splitlines()
    if as_json:
        assert json.loads(line) | {"utc": 0} == {
            "utc": 0,
            "level": "warning",
            "kind": "b",
            "what": "mind \x1b[2J this",
            "stream": "mic",
        }
    else:
        assert line.startswith("earmark: ")
        assert line.endswith(" mic: mind ?[2J this")
