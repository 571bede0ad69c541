"""Risk: whoever lost power or the network, and took no leave, is held or waited for for ever."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from daemons import HANGING

from edge.client import Subscriber
from edge.endpoints import GONE_SECONDS
from edge.packet import Header, Packet
from edge.publisher import Publisher
from edge.satellite import Sender
from edge.sources.satellite import SatelliteSource


def connections() -> Iterator[socket.socket]:
    """The ends of TCP connections that this process has."""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError), socket.socket(fileno=os.dup(int(name))) as end:
            if end.family == socket.AF_INET and end.getpeername():
                yield end


def test_a_connection_ends_when_the_other_side_gives_no_sign(tmp_path: Path) -> None:
    """Of subscribers, of who asks, and of satellites, at both ends."""
    packet = Packet(Header(session="1" * 16, start=0), np.zeros(1600, dtype=np.float32))
    with (
        Publisher("tcp://127.0.0.1:*", tmp_path / "journal") as publisher,
        Subscriber(publisher.endpoint) as events,
        SatelliteSource("tcp://127.0.0.1:*") as source,
        Sender(source.endpoint) as sender,
    ):
        assert events.join(HANGING)
        assert publisher.wait_for_subscriber(HANGING)
        sender.send(packet)
        next(source.blocks())
        seen = 0
        for end in connections():
            seen += 1
            assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            idle = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            unanswered = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            assert (idle, unanswered) == (GONE_SECONDS, 1000 * GONE_SECONDS)
        assert seen == 6
