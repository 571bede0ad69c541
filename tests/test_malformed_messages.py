"""Bytes from others: what is no message is counted, and the next good one is served."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
import zmq
from daemons import HANGING
from hypothesis import given
from hypothesis import strategies as st

from edge.client import Bookmark, Subscriber
from edge.endpoints import request_endpoint
from edge.errors import EarmarkError
from edge.events import Envelope, Segment, SpeechStarted, decode, encode
from edge.outlet import MAX_SUBSCRIPTION
from edge.protocol import (
    MAX_REQUEST,
    Command,
    Refusal,
    decode_reply,
    decode_request,
    journal_of,
    refusal_of,
)
from edge.protocol import encode as encode_message
from edge.publisher import Publisher
from edge.service import MAX_FRAME

DECODERS = [decode, decode_request, decode_reply]
NOT_REQUESTS = [  # nor do they say which they would be
    [b""],
    [b"\xff\xfe"],
    [b"{}"],
    [b"[" * MAX_REQUEST],
    [b'{"v":1,"id":-1,"type":"status"}'],
    [b"", b"", b'{"v":1,"id":1,"type":"status"}'],
    [b"x", b'{"v":1,"id":1,"type":"status"}'],
    [b"\xdf\xff\xff\xff\xff"],
    [b"\x81\xa2id\xcf" + b"\xff" * 8],
    [b"\x81\xa2id\xc1"],
    [b"\x82\xa2id\x01\xa1x" + b"\x91" * MAX_REQUEST],
    [b"\x93\x01\x01\xa6status"],
]
REFUSED = [
    [b'{"v":1,"id":1,"type":"replay"}'],
    [b'{"v":2,"id":1,"type":"status"}'],
    [b'{"v":1,"id":1,"type":"replay","start":-1}'],
    [b'{"v":1,"id":1,"type":"replay","start":9223372036854775808}'],
    [b'{"v":1,"id":1,"type":"explode"}'],
    [b" " * MAX_REQUEST + b'{"v":1,"id":1,"type":"status"}'],
]
REFUSED_PACKED = [
    msgspec.msgpack.encode(request)
    for request in (
        {"v": 1, "id": 1, "type": "replay"},
        {"v": 2, "id": 1, "type": "status"},
        {"v": 1, "id": 1, "type": "replay", "start": -1},
        {"v": 1, "id": 1, "type": "replay", "start": 1 << 63},
        {"v": 1, "id": 1, "type": "replay", "start": 1.0},
        {"v": 1, "id": 1, "type": "rename", "name": b"ada", "new": "ben"},
        {"v": 1, "id": 1, "type": "explode"},
        {"v": 1, "id": 1, "type": "status", "x": "x" * MAX_REQUEST},
    )
]

EXAMPLES = [
    encode(Envelope(1, "j.0", "a", 3, 5, 1.5, Segment(1, 0, "final", "ada", 0, 9, 1.0, "x", 2.0))),
    b'{"v":1,"id":7,"type":"replay","start":5}',
    b'{"v":1,"id":7,"type":"replay","session":"j.0","next":5,"end":6,"events":[{},1]}',
]
PIECES = [b"\xc0", b"\xc1", b"\xd4\x05\x01", b"\xcf" + b"\xff" * 8, b"\xff" * 9]
PIECES += [bytes([kind]) + b"\xff" * 4 for kind in (0xC6, 0xC9, 0xDB, 0xDD, 0xDF)]  # endless ones
PACKED = [
    msgspec.msgpack.encode(request)
    for request in (
        {"v": 1, "id": 7, "type": "replay", "start": 1 << 40},
        {"v": 1, "id": 7, "type": "enrol", "name": "Zo\xeb", "stream": "mic", "segment": None},
        {"v": 1, "id": 7, "type": "status", "more": [1.5, {"x": b"x"}]},
    )
]


@pytest.mark.parametrize("decoder", DECODERS)
@given(
    message=st.sampled_from(EXAMPLES),
    where=st.integers(0, 200),
    cut=st.integers(0, 30),
    put=st.binary(max_size=12) | st.sampled_from([b"1e999", b"null", b"-1", b"[[", b'"\\ud800"']),
)
def test_decoders_give_a_message_or_say_that_it_is_none(
    decoder: Callable[[bytes], object], message: bytes, where: int, cut: int, put: bytes
) -> None:
    try:
        decoded = decoder(message[:where] + put + message[where + cut :])
    except msgspec.DecodeError:
        return
    assert decoder(msgspec.json.encode(decoded)) == decoded


@given(
    message=st.sampled_from(PACKED),
    where=st.integers(0, 80),
    cut=st.integers(0, 30),
    put=st.binary(max_size=12) | st.sampled_from(PIECES),
)
def test_messagepack_is_a_request_or_it_is_said_that_it_is_none(
    message: bytes, where: int, cut: int, put: bytes
) -> None:
    data = message[:where] + put + message[where + cut :]
    try:
        decoded = decode_request(data)
    except msgspec.DecodeError as error:
        refusal = refusal_of(data, error)
        assert refusal is None or decode_reply(encode_message(refusal)) == refusal
    else:
        assert decode_request(msgspec.msgpack.encode(decoded)) == decoded


def test_depth_of_messagepack_is_no_way_to_the_end_of_the_process() -> None:
    deep = b"\x82\xa2id\x01\xa1x" + b"\x91" * (MAX_REQUEST - 8)
    with pytest.raises(msgspec.DecodeError) as error:
        decode_request(deep)
    assert refusal_of(deep, error.value) is None


@pytest.mark.parametrize("decoder", DECODERS)
def test_depth_is_no_way_to_the_end_of_the_process(decoder: Callable[[bytes], object]) -> None:
    with pytest.raises(msgspec.DecodeError):
        decoder(b'{"v":1,"event":' + b"[" * 100_000)


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    with Publisher("tcp://127.0.0.1:*", tmp_path) as publisher:
        yield publisher


def test_a_service_refuses_or_drops_what_is_no_request_and_counts_it(publisher: Publisher) -> None:
    """Without an answer, a mistake in a request looked like a daemon that is not there."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as peer:
        peer.linger = 0
        peer.connect(request_endpoint(publisher.endpoint))
        for frames in [*NOT_REQUESTS, *REFUSED]:
            peer.send_multipart(frames)
        refusals = [json.loads(received(peer)) for _ in REFUSED]
        for packed in REFUSED_PACKED:
            peer.send(packed)
            refusals.append(msgspec.msgpack.decode(received(peer)))
        peer.send(b'{"v":1,"id":7,"type":"status"}')
        status = json.loads(received(peer))
    for refusal in refusals:
        assert (refusal["type"], refusal["id"]) == ("refusal", 1)
        assert "no such request: " in refusal["what"]
    assert (status["type"], status["id"]) == ("status", 7)
    assert status["malformed"] == len([*NOT_REQUESTS, *REFUSED, *REFUSED_PACKED])


def received(peer: zmq.Socket[bytes]) -> bytes:
    assert peer.poll(round(HANGING * 1000))
    return peer.recv()


def test_who_asks_what_a_daemon_does_not_know_is_told_and_does_not_ask_for_ever(
    tmp_path: Path,
) -> None:
    """As when its daemon is of another version."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as daemon:
        daemon.linger = 0
        daemon.bind(request_endpoint(f"ipc://{tmp_path / 'events'}"))
        with (
            Subscriber(f"ipc://{tmp_path / 'events'}") as events,
            ThreadPoolExecutor() as pool,
        ):
            joined = pool.submit(events.join, HANGING)
            peer, asked = daemon.recv_multipart()
            refusal = {"type": "refusal", "v": 1, "what": "too old", "remedy": "Update it"}
            number = json.loads(asked)["id"]
            daemon.send_multipart([peer, json.dumps({**refusal, "id": number}).encode()])
            with pytest.raises(EarmarkError, match=r"too old\. Update it"):
                joined.result()


def test_a_frame_of_any_size_does_not_fill_the_memory(publisher: Publisher) -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as peer:
        peer.linger = 0
        peer.connect(request_endpoint(publisher.endpoint))
        peer.send(b"x" * (MAX_FRAME + 1))  # libzmq closes the connection, and opens another
        with Subscriber(publisher.endpoint) as events:
            assert events.join(HANGING)


def test_a_topic_of_any_length_does_not_fill_the_memory(publisher: Publisher) -> None:
    """What libzmq keeps of a topic takes fifty times its length."""
    with zmq.Context() as context, context.socket(zmq.SUB) as peer:
        monitor = peer.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        peer.subscribe(b"x" * MAX_SUBSCRIPTION)
        peer.connect(publisher.endpoint)
        assert monitor.poll(round(HANGING * 1000))
        peer.disable_monitor()


def test_requests_that_wait_for_a_command_do_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon takes few in; the others wait where they come from."""
    came, done = threading.Event(), threading.Event()
    with (
        Publisher(f"ipc://{tmp_path / 'e'}", tmp_path / "journal") as publisher,
        zmq.Context() as context,
        context.socket(zmq.DEALER) as peer,
    ):

        def submit(request: Command) -> Refusal:
            came.set()
            done.wait()
            return Refusal(id=request.id, what="nothing", remedy="")

        monkeypatch.setattr(publisher.commands, "submit", submit)
        peer.linger, peer.sndhwm, sent = 0, 1, 0
        peer.connect(request_endpoint(publisher.endpoint))
        try:
            peer.send(b'{"v":1,"id":7,"type":"stop"}')
            assert came.wait(HANGING)
            while peer.poll(500, zmq.POLLOUT) and sent < 1000:
                peer.send(b" " * MAX_REQUEST)
                sent += 1
        finally:
            done.set()
    assert sent < 500  # what the system holds between two sockets included


@pytest.mark.parametrize("damage", [b"\0", b"\xff"])
@pytest.mark.parametrize("damaged", [{0}, {2}, {1, 2, 4}, {4}, {0, 1, 2, 3, 4}])
def test_a_damaged_line_of_the_journal_costs_its_event_alone(
    tmp_path: Path, damaged: set[int], damage: bytes
) -> None:
    """It made the whole reply no JSON, which was asked for again for ever."""
    with Publisher(f"ipc://{tmp_path / 'events'}", tmp_path / "journal") as publisher:
        sent = [publisher.publish("a", SpeechStarted(n), n) for n in range(5)]
        (segment,) = (tmp_path / "journal").glob("*.jsonl")
        lines = segment.read_bytes().splitlines()
        for number in damaged:
            lines[number] = lines[number].replace(b'"v"', b'"' + damage + b'"', 1)
        segment.write_bytes(b"".join(line + b"\n" for line in lines))
        bookmark = Bookmark(journal_of(publisher.session), 0)
        with Subscriber(publisher.endpoint, bookmark=bookmark) as events:
            whole = [envelope for envelope in sent if envelope.seq not in damaged]
            assert [events.receive(HANGING) for _ in whole] == whole
            while events.missed < len(damaged):  # it learns of what is missing at the end
                assert events.receive(0.2) is None
            assert (events.missed, events.malformed) == (len(damaged), 0)
            last = publisher.publish("a", SpeechStarted(5), 5)
            assert events.receive(HANGING) == last


def test_a_request_that_fails_is_not_the_last(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A daemon without files left to open was deaf to requests from then on, without a word."""
    sent = publisher.publish("a", SpeechStarted(0), 0)

    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with zmq.Context() as context, context.socket(zmq.DEALER) as peer:
        peer.linger = 0
        peer.connect(request_endpoint(publisher.endpoint))

        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", fail)
            peer.send(b'{"v":1,"id":1,"type":"replay","start":0}')
            peer.send(b'{"v":1,"id":2,"type":"status"}')
            assert json.loads(received(peer))["id"] == 2
        peer.send(b'{"v":1,"id":3,"type":"replay","start":0}')
        assert [event["seq"] for event in json.loads(received(peer))["events"]] == [sent.seq]
    (failed,) = (line for line in caplog.records if line.__dict__["kind"] == "request.failed")
    assert os.strerror(errno.EMFILE) in failed.getMessage()


def test_a_req_socket_is_answered_too(publisher: Publisher) -> None:
    with zmq.Context() as context, context.socket(zmq.REQ) as peer:
        peer.linger = 0
        peer.connect(request_endpoint(publisher.endpoint))
        peer.send(b'{"v":1,"id":0,"type":"replay","start":5}')
        assert peer.poll(round(HANGING * 1000))
        reply = json.loads(peer.recv())
    assert reply == {
        "type": "replay",
        "v": 1,
        "id": 0,
        "session": publisher.session,
        "next": 0,
        "end": 0,
        "events": [],
    }


def test_bytes_to_the_publishing_socket_change_nothing(publisher: Publisher) -> None:
    """An XPUB socket hands its owner what subscribers send."""
    with zmq.Context() as context, context.socket(zmq.XSUB) as peer:
        peer.linger = 0
        peer.connect(publisher.endpoint)
        for _ in range(1_000):
            peer.send(os.urandom(40))
        with Subscriber(publisher.endpoint) as events:
            assert events.join(HANGING)
            sent = publisher.publish("a", SpeechStarted(0), 0)
            assert events.receive(HANGING) == sent


def test_a_subscriber_drops_and_counts_what_is_malformed(tmp_path: Path) -> None:
    with Publisher("tcp://127.0.0.1:*", tmp_path) as good:
        sent = good.publish("a", SpeechStarted(1), 1)
    line = encode(sent)
    bad = [
        [b"a/speech"],
        [b"a/speech", b""],
        [b"a/speech", os.urandom(64)],
        [b"a/speech", b"{}"],
        [b"a/speech", line.replace(b'"v":2', b'"v":3')],
        [b"a/speech", line, b"more"],
        [b"a/speech", line.replace(b"speech.started", b"speech.sung")],
        [b"a/speech", line.replace(b'"sample":1', b'"sample":1.5')],
    ]
    bookmark = Bookmark(sent.session.split(".")[0], sent.seq)
    with zmq.Context() as context, context.socket(zmq.XPUB) as raw:
        raw.linger = 0
        raw.bind(f"ipc://{tmp_path / 'raw'}")
        with Subscriber(f"ipc://{tmp_path / 'raw'}", bookmark=bookmark) as events:
            assert raw.poll(round(HANGING * 1000))
            for frames in bad:
                raw.send_multipart(frames)
            raw.send_multipart([b"a/speech", line])
            assert events.receive(HANGING) == sent
            assert events.malformed == len(bad)
