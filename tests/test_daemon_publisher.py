"""Where events may be published, and what is said where they may not."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import zmq
from daemons import HANGING

from edge.client import Subscriber
from edge.endpoints import bindable
from edge.errors import EarmarkError
from edge.events import SpeechStarted
from edge.publisher import Publisher


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp://0.0.0.0:7707",
        "tcp://*:7707",
        "tcp://192.168.1.5:7707",
        "tcp://eth0:7707",
        "tcp://[::]:7707",
        "tcp://[fe80::1]:7707",
        "tcp://128.0.0.1:7707",
        "tcp://127.0.0.1.example.com:7707",
    ],
)
def test_other_machines_cannot_listen_in(endpoint: str, tmp_path: Path) -> None:
    with pytest.raises(EarmarkError, match="other machines") as error:
        Publisher(endpoint, tmp_path / "journal")
    assert "127.0.0.1" in error.value.remedy


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "7707",
        "127.0.0.1:7707",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:65536",
        "udp://127.0.0.1:1",
        "ipc://",
        "ipc://@abstract",
    ],
)
def test_what_is_no_endpoint_is_refused(endpoint: str, tmp_path: Path) -> None:
    with pytest.raises(EarmarkError, match=r"expected|lacks") as error:
        Publisher(endpoint, tmp_path / "journal")
    assert error.value.remedy


def test_localhost_is_this_machine() -> None:
    assert bindable("tcp://localhost:1", encrypted=False) == "tcp://127.0.0.1:1"
    assert bindable("tcp://[::1]:1", encrypted=False) == "tcp://[::1]:1"


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with Publisher("tcp://127.0.0.1:*", tmp_path / "journal") as first:
        with pytest.raises(EarmarkError, match="in use") as error:
            Publisher(first.endpoint, tmp_path / "other")
        assert first.endpoint in error.value.what
        assert "--endpoint" in error.value.remedy


def test_a_port_is_free_again_after_the_close(tmp_path: Path) -> None:
    with Publisher("tcp://127.0.0.1:*", tmp_path / "journal") as first:
        endpoint = first.endpoint
    with Publisher(endpoint, tmp_path / "journal") as second:
        assert second.endpoint == endpoint
        assert second.session != first.session


def test_the_next_port_in_use_is_named(tmp_path: Path) -> None:
    with zmq.Context() as context, context.socket(zmq.XPUB) as other:
        port = other.bind_to_random_port("tcp://127.0.0.1", 20_000, 30_000)
        with pytest.raises(EarmarkError, match=f"127.0.0.1:{port} is in use"):
            Publisher(f"tcp://127.0.0.1:{port - 1}", tmp_path / "journal")


def test_a_living_ipc_socket_is_not_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "events"
    endpoint = f"ipc://{path}"
    with Publisher(endpoint, tmp_path / "journal"), pytest.raises(EarmarkError, match="in use"):
        Publisher(endpoint, tmp_path / "other")


def test_only_its_owner_reaches_an_ipc_socket(tmp_path: Path) -> None:
    with Publisher(f"ipc://{tmp_path / 'events'}", tmp_path / "journal"):
        for path in (tmp_path / "events", tmp_path / "events.ask"):
            assert path.is_socket()
            assert not path.stat().st_mode & 0o077


def test_a_dead_ipc_socket_is(tmp_path: Path) -> None:
    path = tmp_path / "events"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    Publisher(f"ipc://{path}", tmp_path / "journal").close()


def test_a_file_at_an_ipc_path_is_not_deleted(tmp_path: Path) -> None:
    """libzmq by itself would."""
    path = tmp_path / "thesis.txt"
    path.write_text("years of work")
    with pytest.raises(EarmarkError, match="not a socket"):
        Publisher(f"ipc://{path}", tmp_path / "journal")
    with pytest.raises(EarmarkError, match="cannot bind"):
        Publisher(f"ipc://{path}\0of another name", tmp_path / "journal")
    assert path.read_text() == "years of work"


@pytest.mark.parametrize("folder", ["missing", "x" * 200, "x" * 300])
def test_an_ipc_path_that_cannot_be_is_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(EarmarkError, match="cannot bind"):
        Publisher(f"ipc://{tmp_path / folder / 'events'}", tmp_path / "journal")


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="no IPv6 here")
def test_ipv6_loopback_works(tmp_path: Path) -> None:
    try:
        publisher = Publisher("tcp://[::1]:*", tmp_path / "journal")
    except EarmarkError as error:
        pytest.skip(f"no IPv6 loopback here: {error}")
    with publisher, Subscriber(publisher.endpoint) as events:
        assert events.join(HANGING)
        publisher.publish("mic", SpeechStarted(0), 0)
        assert events.receive(HANGING) is not None


def test_a_close_without_subscribers_ends(tmp_path: Path) -> None:
    publisher = Publisher("tcp://127.0.0.1:*", tmp_path / "journal")
    for sample in range(5_000):
        publisher.publish("mic", SpeechStarted(sample), sample)
    publisher.close()


def test_silence_ends_the_iteration_after_the_timeout(tmp_path: Path) -> None:
    with Subscriber(f"ipc://{tmp_path / 'nobody'}", timeout=0.05) as events:
        assert list(events) == []


@pytest.mark.parametrize("endpoint", ["", "nonsense", "tcp://127.0.0.1", "http://127.0.0.1:80"])
def test_a_subscriber_says_what_is_no_endpoint(endpoint: str) -> None:
    with pytest.raises(EarmarkError, match="cannot listen"):
        Subscriber(endpoint)
