"""The page over HTTP: files, the events as they come, and commands to the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import mimetypes
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, StreamClosedError
from tornado.web import Application, HTTPError, RequestHandler

from edge.errors import EarmarkError
from edge.protocol import (
    MAX_REQUEST,
    EnrolCommand,
    EnrolledCommand,
    ForgetCommand,
    Refusal,
    RenameCommand,
    Reply,
    Request,
    decode_request,
    encode,
)
from edge.web.access import LOGIN, Access
from edge.web.relay import Relay, parse_bookmark

ASSETS = Path(__file__).with_name("assets")
CONNECTIONS = 64  # at a time
WATCHING = 16  # of them, that get events
COMMANDS = 4  # under way at a time
PATIENCE = 20.0  # seconds that a browser may take for one message
ALIVE = 10.0  # seconds after which a silent line is tried
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # without any, forms do not tell their origin
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
ALLOWED = (EnrolCommand, EnrolledCommand, ForgetCommand, RenameCommand)
LOOKING_ONLY = Refusal(
    id=0,
    what="this page was started for looking only",
    remedy="To enrol, rename and forget here, start it as 'earmark web ENDPOINT --token FILE'",
)

Ask = Callable[[Request], Reply]


@dataclass
class _Site:
    """What the answers to all browsers share."""

    access: Access
    relay: Relay
    ask: Ask
    watchers: set[_Events] = field(default_factory=set)
    commands: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(COMMANDS))


class Server:
    """Serves the page on an address.

    Args:
        access: who may see it and command.
        relay: the events.
        ask: brings a command to the daemon and waits for the answer; called in a thread.
        encryption: of HTTPS; None for HTTP.
    """

    def __init__(
        self, access: Access, relay: Relay, ask: Ask, encryption: ssl.SSLContext | None = None
    ) -> None:
        site = {"site": _Site(access, relay, ask)}
        self._http = _BoundedServer(
            Application(
                [
                    ("/", _Page, site),
                    (r"/assets/([a-z]+\.[a-z]+)", _Asset, site),
                    ("/events", _Events, site),
                    ("/command", _Command, site),
                ],
                default_handler_class=_Nothing,
                default_handler_args=site,
                log_function=lambda handler: None,
            ),
            ssl_options=encryption,
            max_body_size=MAX_REQUEST,
            max_header_size=16 << 10,
            body_timeout=10,
            idle_connection_timeout=60,
        )

    def serve(self, listener: socket.socket) -> None:
        """Take connections, in the running event loop."""
        self._http.add_socket(listener)

    async def close(self) -> None:
        """Take no more connections, and end those that are open."""
        self._http.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._http.close_all_connections(), 1)


class _BoundedServer(HTTPServer):
    """Closes connections beyond the limit at once."""

    _open = 0

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        if self._open >= CONNECTIONS:
            stream.close()
            return
        self._open += 1
        super().handle_stream(stream, address)

    def on_close(self, server_conn: object) -> None:
        self._open -= 1
        super().on_close(server_conn)


class _Handler(RequestHandler):
    """What holds of every request."""

    public = False  # whether it is answered before the token was shown

    def initialize(self, site: _Site) -> None:
        self.site = site
        self.access = site.access

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        flaw = self.access.flaw(self.request.method or "", self.request.path, self.request.headers)
        if flaw is not None:
            raise HTTPError(403, reason=flaw)
        if not (self.public or self.access.may_enter(self.request.headers)):
            raise HTTPError(401, reason="this page asks for its token first")

    def write_error(self, status_code: int, **kwargs: object) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{self._reason}\n")


class _Nothing(_Handler):
    public = True

    def prepare(self) -> None:
        super().prepare()
        raise HTTPError(404)


class _Page(_Handler):
    """The page, or the question for the token; `POST` is its answer."""

    public = True

    def get(self) -> None:
        entered = self.access.may_enter(self.request.headers)
        name = "index.html" if entered else "enter.html"
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish((ASSETS / name).read_bytes())

    def post(self) -> None:
        token = self.get_body_argument("token", "")
        if not self.access.is_token(token):
            self.redirect(f"{LOGIN}#refused", status=303)
            return
        self.set_cookie(
            self.access.cookie,
            self.access.pass_for(token),
            httponly=True,
            samesite="Strict",
            secure=self.request.protocol == "https",
        )
        self.redirect(LOGIN, status=303)


class _Asset(_Handler):
    """Files that tell nothing about anybody."""

    public = True

    def get(self, name: str) -> None:
        path = ASSETS / name
        if not path.is_file():
            raise HTTPError(404)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        self.set_header("Content-Type", kind)
        self.set_header("Cache-Control", "no-cache")
        self.finish(path.read_bytes())


class _Events(_Handler):
    """The events as they come, for as long as the browser wants them."""

    _task: asyncio.Task[None] | None = None

    async def get(self) -> None:
        watchers = self.site.watchers
        if len(watchers) >= WATCHING:
            raise HTTPError(503, reason=f"{WATCHING} pages are open already, close one")
        watchers.add(self)
        self.set_header("Content-Type", "text/event-stream")
        self._task = asyncio.create_task(self._send())
        try:
            with contextlib.suppress(StreamClosedError, TimeoutError, asyncio.CancelledError):
                await self._task
        finally:
            watchers.discard(self)
        if self.request.connection is not None:
            self.request.connection.stream.close()  # type: ignore[attr-defined]

    def on_connection_close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _send(self) -> None:
        bookmark = parse_bookmark(self.request.headers.get("Last-Event-ID", ""))
        await self._write(b": the events of Earmark\n\n")
        while True:
            changed = self.site.relay.changed
            message = self.site.relay.after(bookmark)
            if message is not None:
                await self._write(message.encode())
                bookmark = message.bookmark
                continue
            try:
                await asyncio.wait_for(changed.wait(), ALIVE)
            except TimeoutError:
                await self._write(b": still here\n\n")

    async def _write(self, data: bytes) -> None:
        self.write(data)
        await asyncio.wait_for(self.flush(), PATIENCE)


class _Command(_Handler):
    """Brings a request of the protocol to the daemon, if it is one that the page makes."""

    async def post(self) -> None:
        reply = await self._reply()
        self.set_header("Content-Type", "application/json")
        self.set_status(409 if isinstance(reply, Refusal) else 200)
        self.finish(encode(reply))

    async def _reply(self) -> Reply:
        try:
            request = decode_request(self.request.body)
        except msgspec.DecodeError as error:
            raise HTTPError(400, reason="a request of the protocol was expected") from error
        if not isinstance(request, ALLOWED):
            raise HTTPError(400, reason="this page does not make such requests")
        if not self.access.commands:
            return LOOKING_ONLY
        if self.site.commands.locked():
            raise HTTPError(503, reason=f"{COMMANDS} commands are under way already")
        async with self.site.commands:
            try:
                return await asyncio.to_thread(self.site.ask, request)
            except EarmarkError as error:
                return Refusal(id=request.id, what=error.what, remedy=error.remedy)
