"""Where sockets are bound: without keys, where nobody outside this machine can reach them."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edge.errors import EarmarkError

if TYPE_CHECKING:
    import zmq

DEFAULT_ENDPOINT = "tcp://127.0.0.1:7707"
MAX_PORT = 65_535
GONE_SECONDS = 10  # without a sign from the other side, after which a connection is given up


def bindable(endpoint: str, encrypted: bool) -> str:
    """The endpoint in the form that ZeroMQ binds, if it is safe to do so.

    Raises:
        EarmarkError: it is malformed, an ipc path of something else, or open to other machines
            and not `encrypted`.
    """
    if endpoint.startswith("ipc://"):
        if encrypted:
            raise EarmarkError(
                f"keys were given for '{endpoint}', which is its owner's alone and takes none",
                "Leave --curve out, or use tcp://ADDRESS:PORT",
            )
        _check_ipc(endpoint)
        return endpoint
    match = re.fullmatch(r"tcp://(?:\[([^]]+)\]|([^:\[\]]+)):([0-9]+|\*)", endpoint)
    if match is None or (match[3] != "*" and int(match[3]) > MAX_PORT):  # libzmq wraps it around
        raise EarmarkError(
            f"cannot bind '{endpoint}', expected tcp://ADDRESS:PORT or ipc://PATH",
            "Use for example tcp://127.0.0.1:7707",
        )
    host = match[1] or match[2]
    if host == "localhost":
        return f"tcp://127.0.0.1:{match[3]}"
    if not (encrypted or is_loopback(host)):
        raise EarmarkError(
            f"refused to bind '{endpoint}': other machines could reach it, unencrypted",
            "Give keys with --curve (see 'earmark keys --help'), or use a loopback address "
            "(tcp://127.0.0.1:PORT) or ipc://PATH",
        )
    return endpoint


@contextmanager
def bound(endpoint: str) -> Iterator[None]:
    """Binding inside: an ipc socket becomes its owner's alone, errors are told to people."""
    import zmq  # noqa: PLC0415 (help does without)

    mask = os.umask(0o077)
    try:
        yield
    except zmq.ZMQError as error:
        if error.errno == zmq.EADDRINUSE:
            raise in_use(endpoint) from error
        raise EarmarkError(
            f"cannot bind {endpoint}: {error.strerror}", "Choose another endpoint"
        ) from error
    finally:
        os.umask(mask)


def prepare(socket: zmq.Socket[bytes], endpoint: str) -> None:
    """What every socket is set to before it binds to an endpoint, or connects to it.

    Who loses power, or the network, takes no leave. The kernel alone would hold the connection of
    one that is not sent anything for ever, and to one that is it would try again ever more seldom.
    """
    import zmq  # noqa: PLC0415 (help does without)

    socket.setsockopt(zmq.IPV6, int("[" in endpoint))
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, GONE_SECONDS)
    socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, GONE_SECONDS)
    socket.setsockopt(zmq.TCP_MAXRT, 1000 * GONE_SECONDS)
    socket.setsockopt(zmq.CONNECT_TIMEOUT, 1000 * GONE_SECONDS)


def request_endpoint(endpoint: str) -> str:
    """Where requests go to the daemon that publishes on `endpoint`: the next port, or PATH.ask.

    Raises:
        EarmarkError: it is no endpoint, or there is no next port.
    """
    if endpoint.startswith("ipc://"):
        return f"{endpoint}.ask"
    address, _, port = endpoint.rpartition(":")
    if not (address.startswith("tcp://") and port.isdecimal() and int(port) < MAX_PORT):
        raise EarmarkError(
            f"cannot listen at '{endpoint}', expected tcp://ADDRESS:PORT or ipc://PATH",
            f"Use it as printed by 'earmark run'; PORT is below {MAX_PORT}",
        )
    return f"{address}:{int(port) + 1}"


def loopback_address(text: str) -> tuple[str, int]:
    """As `parse_address`, but in IPv4, and of those that only this machine can reach.

    Raises:
        EarmarkError: it is malformed, or other machines could reach it.
    """
    host, port = parse_address(text)
    if ":" in host or not is_loopback(host):
        raise EarmarkError(
            f"refused to serve on '{text}', unencrypted: expected an address in 127.0.0.0/8",
            "Use 127.0.0.1, and bring it to other machines by a tunnel or a proxy with TLS",
        )
    return host, port


def parse_address(text: str) -> tuple[str, int]:
    """The address and port of 'ADDRESS:PORT', with an IPv6 address in brackets.

    Raises:
        EarmarkError: it is malformed.
    """
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9A-Za-z.-]+)):([0-9]{1,5})", text)
    if match is None or int(match[3]) > MAX_PORT:
        raise EarmarkError(
            f"'{text}' is no address, expected ADDRESS:PORT", "Use for example 127.0.0.1:9107"
        )
    host = match[1] or match[2]
    return "127.0.0.1" if host == "localhost" else host, int(match[3])


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what is bound to an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # the name of an interface, or "*"
        return False


def _check_ipc(endpoint: str) -> None:
    """ZeroMQ deletes whatever lies at an ipc path before it binds: let it be a dead socket only."""
    name = endpoint.removeprefix("ipc://")
    if not name:
        raise EarmarkError("'ipc://' lacks a path", "Use for example ipc:///tmp/earmark.sock")
    if name.startswith("@"):
        raise EarmarkError(
            f"expected a path, and '{endpoint}' is a socket that every user may command by",
            "Use a path, such as ipc:///tmp/earmark.sock",
        )
    try:
        mode = os.stat(name).st_mode
    except (FileNotFoundError, NotADirectoryError):  # nothing lies there
        return
    except (OSError, ValueError) as error:  # the latter for a NUL, where libzmq would end the path
        raise EarmarkError(
            f"cannot bind '{endpoint}': {error}", "Choose another ipc:// path"
        ) from error
    if not stat.S_ISSOCK(mode):
        raise EarmarkError(f"{name} exists and is not a socket", "Choose another ipc:// path")
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(name) == 0:
            raise in_use(endpoint)


def in_use(endpoint: str) -> EarmarkError:
    """The error of an endpoint that somebody else has bound."""
    return EarmarkError(
        f"the endpoint {endpoint} is in use",
        "Stop the other daemon, or choose another endpoint (--endpoint, or in the configuration)",
    )
