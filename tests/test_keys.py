"""Who has no allowed key gets nothing: not a byte of an event, no answer, no way back in."""

from __future__ import annotations

import errno
import json
import socket as sockets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import zmq
from daemons import HANGING
from shell import earmark
from test_metrics import free_port

from edge import keyring
from edge.cli import main
from edge.client import Subscriber
from edge.endpoints import request_endpoint
from edge.errors import EarmarkError
from edge.events import SpeechStarted
from edge.keyring import Client, Keyring, change_keyring, make_keyring, read_keyring
from edge.outlet import Outlet
from edge.publisher import Publisher
from edge.requests import Keys

NOTHING = 1.0  # seconds of waiting for what must not come


class Site:
    """A daemon with keys, and who would like to listen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "daemon.keys"
        self.server = make_keyring(self.file).public
        anywhere = "tcp://127.0.0.1:*"
        self.publisher = Publisher(anywhere, folder / "journal", self.file, msgpack=anywhere)
        assert self.publisher.msgpack_endpoint is not None
        self.packed: str = self.publisher.msgpack_endpoint
        self.friend = self.client("friend")
        self.allow("friend", self.friend)

    def client(self, name: str) -> Keys:
        path = self.folder / f"{name}.keys"
        make_keyring(path)
        return Keys(path, self.server)

    def allow(self, name: str, keys: Keys) -> None:
        client = Client(name, read_keyring(keys.file).public, commands=False)
        change_keyring(self.file, lambda ring: ring.allow(client))

    def revoke(self, name: str) -> None:
        change_keyring(self.file, lambda ring: ring.revoke(name))

    def revoke_connected(self, name: str, socket: zmq.Socket[bytes]) -> None:
        """Wait until it is cut off, with all others."""
        monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self.revoke(name)
        assert monitor.poll(round(HANGING * 1000))
        socket.disable_monitor()

    @contextmanager
    def messagepack(self, keys: Keys) -> Iterator[zmq.Socket[bytes]]:
        """Who subscribes to all events as MessagePack, and has been seen to."""
        with zmq.Context() as context, context.socket(zmq.SUB) as socket:
            keys.give(socket)
            socket.subscribe("")
            socket.connect(self.packed)
            assert self.publisher.wait_for_subscriber(HANGING)
            yield socket

    def publish(self) -> None:
        self.publisher.publish("mic", SpeechStarted(0), 0)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    with site.publisher:
        yield site


Give = Callable[["zmq.Socket[bytes]"], None]


def no_key(site: Site) -> Give:
    """Plaintext."""
    return lambda socket: None


def unknown_key(site: Site) -> Give:
    return site.client("stranger").give


def revoked_key(site: Site) -> Give:
    keys = site.client("former")
    site.allow("former", keys)
    site.revoke("former")
    return keys.give


def wrong_server_key(site: Site) -> Give:
    return site.friend._replace(server=make_keyring(site.folder / "other.keys").public).give


def public_keys_alone(site: Site) -> Give:
    """All that can be known of a friend, without the secret."""
    thief, public = site.client("thief"), read_keyring(site.friend.file).public

    def give(socket: zmq.Socket[bytes]) -> None:
        thief.give(socket)
        socket.curve_publickey = bytes.fromhex(public)

    return give


def plain_password(site: Site) -> Give:
    def give(socket: zmq.Socket[bytes]) -> None:
        socket.plain_username, socket.plain_password = b"friend", b"friend"

    return give


ATTEMPTS = [
    no_key,
    unknown_key,
    revoked_key,
    wrong_server_key,
    public_keys_alone,
    plain_password,
]


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_who_is_not_allowed_gets_nothing(site: Site, attempt: Callable[[Site], Give]) -> None:
    give = attempt(site)
    with (
        zmq.Context() as context,
        context.socket(zmq.SUB) as events,
        context.socket(zmq.DEALER) as requests,
        Subscriber(site.publisher.endpoint, keys=site.friend) as friend,
    ):
        for socket in (events, requests):
            socket.linger = 0
            give(socket)
        events.subscribe("")
        events.connect(site.publisher.endpoint)
        events.connect(site.packed)
        requests.connect(request_endpoint(site.publisher.endpoint))
        requests.send(b'{"v":1,"id":1,"type":"snapshot"}')
        assert friend.join(HANGING)
        deadline = time.monotonic() + NOTHING
        while time.monotonic() < deadline:
            site.publish()
            assert friend.receive(HANGING) is not None  # it is the daemon's choice, not its silence
            assert not events.poll(20)
        assert not requests.poll(0)


@pytest.mark.parametrize("port", [0, 1])
def test_bytes_that_are_no_handshake_get_no_event(site: Site, port: int) -> None:
    endpoint = site.publisher.endpoint if port == 0 else request_endpoint(site.publisher.endpoint)
    address = ("127.0.0.1", int(endpoint.rpartition(":")[2]))
    garbage = [b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 4, b"\xff" + b"\0" * 8 + b"\x7f"]
    for data in [*garbage, b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL" + b"\0" * 48]:
        with sockets.create_connection(address) as raw:
            raw.settimeout(0.3)
            raw.sendall(data)
            site.publish()
            received = b""
            try:
                while chunk := raw.recv(4096):
                    received += chunk
            except (TimeoutError, ConnectionError):
                pass
        assert b"speech" not in received
        assert len(received) <= 64  # the greeting of ZMTP
    with Subscriber(site.publisher.endpoint, keys=site.friend) as friend:
        assert friend.join(HANGING)


@pytest.mark.parametrize(
    ("step", "error"), [("reopen", zmq.EADDRINUSE), ("_make", errno.EMFILE)], ids=["port", "files"]
)
def test_a_socket_that_cannot_be_had_again_lets_no_revoked_key_listen_on(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    step: str,
    error: int,
) -> None:
    """At another socket either; and friends miss nothing."""
    taken = [True]

    def take(outlet: Outlet, *arguments: Any) -> Any:
        if taken[0]:
            raise zmq.ZMQError(error)
        return original(outlet, *arguments)

    original = getattr(Outlet, step)
    monkeypatch.setattr(Outlet, step, take)
    monkeypatch.setattr("edge.publisher.REBIND_TRIES", 2)
    former = site.client("former")
    site.allow("former", former)
    with (
        Subscriber(site.publisher.endpoint, keys=site.friend) as stays,
        site.messagepack(former) as packed,
    ):
        assert stays.join(HANGING)
        site.revoke_connected("former", packed)
        for _ in range(10):
            site.publish()
        assert not packed.poll(500)
        assert "cannot come back yet" in caplog.text
        taken[0] = False
        assert [e.seq for e in (stays.receive(HANGING) for _ in range(10)) if e] == list(range(10))


def test_events_do_not_wait_for_a_port_that_somebody_took_at_a_revocation(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five seconds of sound were lost."""
    refused, free = threading.Event(), threading.Event()

    def reopen(outlet: Outlet) -> None:
        if not free.is_set():
            refused.set()
            raise zmq.ZMQError(zmq.EADDRINUSE)
        original(outlet)

    original = Outlet.reopen
    monkeypatch.setattr(Outlet, "reopen", reopen)
    monkeypatch.setattr("edge.publisher.REBIND_TRIES", 1 << 60)
    site.allow("former", site.client("former"))
    with Subscriber(site.publisher.endpoint, keys=site.friend) as stays:
        assert stays.join(HANGING)
        site.revoke("former")
        assert refused.wait(HANGING)
        publishing = threading.Thread(target=site.publish)
        publishing.start()
        publishing.join(HANGING)
        waits = publishing.is_alive()
        free.set()
        assert not waits
        envelope = stays.receive(HANGING)
        assert envelope is not None and envelope.seq == 0


def test_a_key_revoked_while_connected_hears_no_more_and_others_lose_nothing(site: Site) -> None:
    former = site.client("former")
    site.allow("former", former)
    endpoint = site.publisher.endpoint
    with (
        Subscriber(endpoint, keys=former) as gone,
        Subscriber(endpoint, keys=site.friend) as stays,
        site.messagepack(former) as packed,
    ):
        assert gone.join(HANGING)
        assert stays.join(HANGING)
        site.publish()
        assert gone.receive(HANGING) is not None
        assert packed.poll(round(HANGING * 1000))
        packed.recv_multipart()
        site.revoke_connected("former", packed)
        for _ in range(10):
            site.publish()
        assert gone.receive(NOTHING) is None
        assert not packed.poll(0)
        assert [e.seq for e in (stays.receive(HANGING) for _ in range(11)) if e] == list(range(11))
        site.allow("former", former)
        assert [e.seq for e in (gone.receive(HANGING) for _ in range(10)) if e] == [*range(1, 11)]


@pytest.mark.parametrize("damage", ["missing", "garbage", "readable by others"])
def test_keys_that_cannot_be_used_let_nobody_in(site: Site, damage: str) -> None:
    with Subscriber(site.publisher.endpoint, keys=site.friend) as friend:
        assert friend.join(HANGING)
        match damage:
            case "missing":
                site.file.unlink()
            case "garbage":
                site.file.write_bytes(b"{}")
            case _:
                site.file.chmod(0o644)
        time.sleep(NOTHING)
        site.publish()
        assert friend.receive(NOTHING) is None


def test_keys_that_cannot_be_read_just_as_they_change_let_friends_in_later(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine has no files left, and soon it has."""
    lacking = [True]

    def read(path: Path) -> Keyring:
        if lacking[0]:
            raise EarmarkError("cannot read the keys: Too many open files")
        return read_keyring(path)

    with Subscriber(site.publisher.endpoint, keys=site.friend) as friend:
        assert friend.join(HANGING)
        monkeypatch.setattr("edge.curve.read_keyring", read)
        site.allow("other", site.client("other"))
        time.sleep(NOTHING)
        site.publish()
        assert friend.receive(NOTHING) is None
        lacking[0] = False
        assert friend.receive(HANGING) is not None


def follows(site: Site, subscriber: Subscriber) -> bool:
    """Whether it is there by both of its sockets before long."""
    deadline = time.monotonic() + HANGING
    while not site.publisher.wait_for_subscriber(0.05):
        subscriber.receive(0.05)
        if time.monotonic() > deadline:
            return False
    site.publish()
    return subscriber.receive(HANGING) is not None


def test_who_is_allowed_later_is_let_in(site: Site) -> None:
    """For libzmq a refusal is final: it did not come back, and nothing was said."""
    keys = site.client("late")
    with Subscriber(site.publisher.endpoint, keys=keys) as late:
        assert not late.join(NOTHING)
        site.allow("late", keys)
        assert late.join(HANGING)
        assert follows(site, late)


def test_a_daemon_that_lacked_its_keys_for_a_while_is_heard_again(tmp_path: Path) -> None:
    file, endpoint = tmp_path / "daemon.keys", f"tcp://127.0.0.1:{free_port()}"
    server = make_keyring(file).public
    keys = Keys(tmp_path / "friend.keys", server)
    friend = Client("friend", make_keyring(keys.file).public, commands=False)
    change_keyring(file, lambda ring: ring.allow(friend))
    with Subscriber(endpoint, keys=keys) as subscriber:
        for curve, hears in ((file, True), (None, False), (file, True)):
            with Publisher(endpoint, tmp_path / "journal", curve) as publisher:
                sent = publisher.publish("mic", SpeechStarted(0), 0)
                if hears and subscriber.bookmark is None:
                    assert subscriber.join(HANGING)
                elif hears:
                    heard = [subscriber.receive(HANGING) for _ in range(2)]
                    assert heard[-1] == sent
                else:
                    assert subscriber.receive(NOTHING) is None


def test_keys_that_another_thread_reads_meanwhile_let_friends_in_later(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The authenticator, which has read them, comes between two lines of the one that could not."""
    guard = site.publisher._guard
    assert guard is not None
    failures = [EarmarkError("cannot read the keys: Too many open files")]

    def read(path: Path) -> Keyring:
        if failures:
            raise failures.pop()
        return read_keyring(path)

    def nobody(public: str, secret: str) -> Keyring:
        assert guard.keyring.clients
        return Keyring(public, secret)

    monkeypatch.setattr("edge.curve.read_keyring", read)
    monkeypatch.setattr("edge.curve.Keyring", nobody)
    site.file.touch()
    assert not guard.keyring.clients
    assert guard.keyring.clients


def test_without_an_authenticator_nobody_comes_in(site: Site) -> None:
    """Should its thread ever die, libzmq by itself would let everybody in."""
    assert site.publisher._guard is not None
    site.publisher._guard._authenticator.stop()
    with Subscriber(site.publisher.endpoint, keys=site.friend) as friend:
        assert not friend.join(NOTHING)


def test_the_longest_topic_that_the_protocol_allows_is_taken_with_keys(site: Site) -> None:
    """Encrypted, it takes more bytes."""
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        site.friend.give(socket)
        monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        socket.connect(site.publisher.endpoint)
        socket.subscribe(b"x" * 1000)
        assert not monitor.poll(round(NOTHING * 1000))
        socket.disable_monitor()


def test_keys_by_command(tmp_path: Path) -> None:
    daemon, laptop = str(tmp_path / "daemon.keys"), str(tmp_path / "laptop.keys")
    server = earmark("keys", "new", daemon).stdout.strip()
    public = earmark("keys", "new", laptop).stdout.strip()
    assert earmark("keys", "show", laptop).stdout.strip() == public
    assert earmark("keys", "allow", daemon, "laptop", public).returncode == 0
    assert earmark("keys", "allow", daemon, "hall", server, "--audio").returncode == 0
    assert earmark("keys", "list", daemon).stdout == (
        f"{public}  events         laptop\n{server}  events, audio  hall\n"
    )
    assert earmark("keys", "revoke", daemon, "hall").returncode == 0
    assert (tmp_path / "daemon.keys").stat().st_mode & 0o777 == 0o600
    with Publisher("tcp://127.0.0.1:*", tmp_path / "journal", Path(daemon)) as publisher:
        with Subscriber(publisher.endpoint, keys=Keys(Path(laptop), server)) as events:
            assert events.join(HANGING)
        assert earmark("keys", "revoke", daemon, "laptop").returncode == 0
        with Subscriber(publisher.endpoint, keys=Keys(Path(laptop), server)) as events:
            assert not events.join(NOTHING)
    assert json.loads(Path(daemon).read_text())["clients"] == []


def test_keys_changed_at_the_same_time_are_all_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One who writes what he read before the other's change would let a revoked key in again."""
    file = tmp_path / "daemon.keys"
    make_keyring(file)
    for name, key in (("lost", "0" * 64), ("friend", "1" * 64)):
        assert main(["keys", "allow", str(file), name, key]) == 0
    both_have_read, read = threading.Barrier(2), keyring.read_private

    def read_together(*arguments: Any) -> bytes:
        data = read(*arguments)
        with suppress(threading.BrokenBarrierError):  # the other waits until this one has written
            both_have_read.wait(NOTHING)
        return data

    monkeypatch.setattr(keyring, "read_private", read_together)
    changes = [["revoke", str(file), "lost"], ["allow", str(file), "laptop", "2" * 64]]
    threads = [threading.Thread(target=main, args=[["keys", *words]]) for words in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {client.name for client in read_keyring(file).clients} == {"friend", "laptop"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["new", "FILE"], "exists already"),
        (["show", "missing"], "cannot read"),
        (["allow", "FILE", "laptop", "abc"], "64 hexadecimal digits"),
        (["allow", "FILE", "a/b", "0" * 64], "cannot be the name of a client"),
        (["revoke", "FILE", "nobody"], "no key is allowed as 'nobody'"),
    ],
)
def test_what_cannot_be_done_with_keys_is_told(
    tmp_path: Path, words: list[str], expected: str
) -> None:
    make_keyring(tmp_path / "FILE")
    result = earmark("keys", words[0], str(tmp_path / words[1]), *words[2:])
    assert result.returncode == 1
    assert expected in result.stderr
    assert "Traceback" not in result.stderr


def test_keys_are_for_tcp(tmp_path: Path) -> None:
    make_keyring(tmp_path / "keys")
    with pytest.raises(EarmarkError, match="takes none"):
        Publisher(f"ipc://{tmp_path / 'e'}", tmp_path / "journal", tmp_path / "keys")


def test_any_address_will_do_with_keys(tmp_path: Path) -> None:
    make_keyring(tmp_path / "keys")
    Publisher("tcp://0.0.0.0:*", tmp_path / "journal", tmp_path / "keys").close()
