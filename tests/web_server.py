"""`earmark web` in a real process, and a browser so simple that its every header is known."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from edge.events import Envelope, decode

HANGING = 60.0  # seconds; against a hanging test run, not a measure of speed


class Message(NamedTuple):
    """A server-sent event."""

    kind: str
    id: str
    envelopes: list[Envelope]


class Web(NamedTuple):
    """A running server."""

    port: int
    process: subprocess.Popen[str]

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/"

    def ask(
        self, method: str, path: str, body: str | None = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, str]:
        """One request; `_` in the name of a header stands for `-`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANGING)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"Host": self.host, **named})
        response = connection.getresponse()
        try:
            text = response.read().decode()
        except ConnectionResetError:  # it hangs up on a body that it does not want to read
            text = ""
        connection.close()
        return response, text

    def command(self, cookie: str = "", **request: object) -> tuple[int, Any]:
        """The status of a command, and the answer."""
        body = json.dumps({"v": 1, "id": 0, **request})
        origin = self.url.rstrip("/")
        response, text = self.ask("POST", "/command", body, Origin=origin, Cookie=cookie)
        return response.status, json.loads(text) if text.startswith("{") else text

    def log_in(self, token: str) -> http.client.HTTPResponse:
        """The answer to who sends a token."""
        response, _ = self.ask(
            "POST",
            "/",
            f"token={token}",
            Origin=self.url.rstrip("/"),
            Content_Type="application/x-www-form-urlencoded",
        )
        return response

    def enter(self, token: str) -> str:
        """The cookie that the token gives, empty if it is the wrong one."""
        response = self.log_in(token)
        assert response.status == 303
        return (response.getheader("Set-Cookie") or "").partition(";")[0]

    @contextmanager
    def watch(self, last: str = "") -> Iterator[Iterator[Message]]:
        """The messages of a browser that watches, from the id of its last one on."""
        with socket.create_connection(("127.0.0.1", self.port), HANGING) as line:
            headers = f"Host: {self.host}\r\nLast-Event-ID: {last}\r\n"
            line.sendall(f"GET /events HTTP/1.1\r\n{headers}\r\n".encode())
            response = http.client.HTTPResponse(line)
            response.begin()
            assert response.status == 200, response.read()
            yield _messages(response)


@contextmanager
def web(
    endpoint: str,
    *options: str,
    bind: str = "127.0.0.1:0",
    program: Sequence[str] = ("-m", "edge.cli"),
) -> Iterator[Web]:
    """A server that does not outlive the test."""
    command = [sys.executable, *program, "web", endpoint, "--bind", bind, *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        match = re.search(r":(\d+)/$", line.strip())
        assert match, line + process.stderr.read()
        yield Web(int(match[1]), process)
    finally:
        process.kill()
        process.communicate()


def token(path: Path) -> str:
    """The token that a server wrote."""
    return path.read_text(encoding="ascii").strip()


def _messages(response: http.client.HTTPResponse) -> Iterator[Message]:
    fields: dict[str, str] = {}
    while line := response.readline().decode():
        name, _, value = line.rstrip("\n").partition(": ")
        if name:
            fields[name] = value
        elif "data" in fields:
            envelopes = [decode(json.dumps(item).encode()) for item in json.loads(fields["data"])]
            yield Message(fields["event"], fields["id"], envelopes)
            fields = {}
