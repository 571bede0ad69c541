"""`earmark web`: who speaks, in a browser."""

# ruff: noqa: PLC0415 (the server is loaded only once the command runs)

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import ssl
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from edge import log
from edge.commands.keys import add_keys, client_keys
from edge.endpoints import DEFAULT_ENDPOINT, is_loopback, parse_address
from edge.errors import EarmarkError

BACKLOG = 64
EPILOG = """\
examples:
  earmark web                                       the daemon of this machine, for looking only
  earmark web ipc:///run/user/1000/earmark.sock --token web.token
  earmark web tcp://kitchen:7707 --curve laptop.keys --server 5d0a... --token web.token
  earmark web --bind 0.0.0.0:7717 --token web.token --certificate web.pem

FILE of --token is made with a new token if it is not there; the page asks for it once. With it one
may enrol, rename and forget, if the daemon lets this command: over its ipc:// endpoint, or with a
key that was allowed with --commands. For other machines there must be a token and a certificate,
or on them:
  ssh -L 7717:localhost:7717 kitchen                and then http://localhost:7717 here"""


def add_parser(subparsers: Any) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "web",
        help="show live who speaks, in a browser",
        description="Serves a page that shows who speaks, as it happens, and who is enrolled.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "endpoint", nargs="?", default=DEFAULT_ENDPOINT, help="of the daemon (%(default)s)"
    )
    parser.add_argument(
        "--bind", default="127.0.0.1:7717", metavar="ADDRESS:PORT", help="of the page (%(default)s)"
    )
    parser.add_argument(
        "--token", type=Path, metavar="FILE", help="who does not have it sees nothing"
    )
    parser.add_argument(
        "--certificate", type=Path, metavar="PEM", help="with its key, to serve https://"
    )
    add_keys(parser)
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted.

    Raises:
        EarmarkError: an endpoint or address that is none or in use, or open to others without
            token and certificate; or a file that cannot be read.
    """
    from edge.web.token import read_token

    log.set_up("auto", "warning", "tornado", "asyncio")  # who fails to connect is told by them
    host, port = parse_address(args.bind)
    loopback = is_loopback(host)
    if not loopback and None in (args.token, args.certificate):
        raise EarmarkError(
            f"refused to serve on '{args.bind}': other machines could look, or listen in",
            "Give --token and --certificate, or stay on 127.0.0.1 and use 'ssh -L'",
        )
    token = read_token(args.token) if args.token else None
    encryption = _encryption(args.certificate) if args.certificate else None
    with _listen(host, port) as listener:
        asyncio.run(_serve(args, listener, token, encryption, loopback))
    return 0


async def _serve(
    args: argparse.Namespace,
    listener: socket.socket,
    token: str | None,
    encryption: ssl.SSLContext | None,
    loopback: bool,
) -> None:
    from edge.client import Subscriber
    from edge.requests import command
    from edge.web.access import Access
    from edge.web.relay import Relay
    from edge.web.server import Server

    keys = client_keys(args)
    host, port = listener.getsockname()[:2]
    scheme = "http" if encryption is None else "https"
    with Subscriber(args.endpoint, keys=keys) as events:
        relay = Relay(events)
        access = Access(token, scheme, port, loopback)
        following = asyncio.create_task(relay.follow())
        ask = partial(command, args.endpoint, keys=keys, given_up=following.done)
        server = Server(access, relay, ask, encryption)
        server.serve(listener)
        shown = f"[{host}]" if ":" in host else host
        print(f"earmark: {args.endpoint} is shown at {scheme}://{shown}:{port}/", file=sys.stderr)
        if args.token:
            print(f"earmark: it asks for the token in {args.token}", file=sys.stderr)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, following.cancel)
        with suppress(asyncio.CancelledError):
            await following
        await server.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise EarmarkError(
            f"cannot serve on {host}:{port}: {error.strerror}",
            "Choose another with --bind",
        ) from error
    listener.setblocking(False)
    return listener


def _encryption(path: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(path, password="")
    except OSError as error:  # an SSLError is one
        raise EarmarkError(
            f"cannot use {path}: {error.strerror or error}",
            "It must hold a certificate and its key in PEM, the key without a password",
        ) from error
    return context
