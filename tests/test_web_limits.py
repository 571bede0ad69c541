"""Risk: a greedy browser takes the page from everybody else, or makes the server grow."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from web_server import HANGING, Web, token, web

from edge.events import SpeechStarted
from edge.protocol import Command, Refusal
from edge.publisher import Publisher
from edge.web.server import CONNECTIONS, WATCHING


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Publisher, Web]]:
    endpoint = f"ipc://{tmp_path / 'events'}"
    with Publisher(endpoint, tmp_path / "journal") as publisher, web(endpoint) as server:
        publisher.publish("mic", SpeechStarted(0), 0)
        yield publisher, server


def test_more_watchers_than_there_are_places_for_are_told(served: tuple[Publisher, Web]) -> None:
    _, server = served
    with ExitStack() as open_pages:
        for _ in range(WATCHING):
            messages = open_pages.enter_context(server.watch())
            assert next(messages).kind == "state"
        response, text = server.ask("GET", "/events")
        assert response.status == 503
        assert "close one" in text
        assert server.ask("GET", "/")[0].status == 200
    until = time.monotonic() + HANGING
    while time.monotonic() < until:  # a place is free once a page is closed, which takes a moment
        with ExitStack() as retry:
            try:
                assert next(retry.enter_context(server.watch())).kind == "state"
                return
            except AssertionError:
                continue
    pytest.fail("no place was freed")


def test_connections_beyond_the_limit_are_closed_and_the_others_go_on(
    served: tuple[Publisher, Web],
) -> None:
    publisher, server = served
    with server.watch() as messages, ExitStack() as lines:
        assert next(messages).kind == "state"
        opened = [
            lines.enter_context(socket.create_connection(("127.0.0.1", server.port), HANGING))
            for _ in range(CONNECTIONS + 10)
        ]
        refused = 0
        for line in opened[-10:]:
            line.settimeout(HANGING)
            refused += line.recv(1) == b""
        assert refused == 10
        publisher.publish("mic", SpeechStarted(16_000), 16_000)
        assert next(messages).envelopes[-1].sample == 16_000


PATIENT = "import edge.requests as r\nr.COMMAND_PATIENCE = 1e6\nimport edge.cli\nedge.cli.main()"


def test_a_daemon_that_does_not_answer_does_not_hold_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, secret = f"ipc://{tmp_path / 'events'}", tmp_path / "token"
    with (
        Publisher(endpoint, tmp_path / "journal") as publisher,
        web(endpoint, "--token", str(secret), program=("-c", PATIENT)) as server,
        ThreadPoolExecutor(1) as browser,
    ):
        came, ended = threading.Event(), threading.Event()

        def submit(request: Command) -> Refusal:
            came.set()
            ended.wait()
            return Refusal(id=request.id, what="too late", remedy="")

        monkeypatch.setattr(publisher.commands, "submit", submit)
        cookie = server.enter(token(secret))
        answer = browser.submit(server.command, cookie, type="enrolled")
        try:
            assert came.wait(HANGING)
            server.process.terminate()
            assert server.process.wait(HANGING) == 0
        finally:
            ended.set()
            server.process.kill()
        assert answer.exception() is not None  # it was hung up on


def test_a_body_or_header_that_is_too_long_is_refused(served: tuple[Publisher, Web]) -> None:
    _, server = served
    origin = server.url.rstrip("/")
    response, _ = server.ask("POST", "/command", "x" * 10_000, Origin=origin)
    assert response.status in (400, 413)
    with socket.create_connection(("127.0.0.1", server.port), HANGING) as line:
        line.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000)
        assert line.recv(1 << 16)[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 431")
    assert server.ask("GET", "/")[0].status == 200
