"""Whoever takes MessagePack gets the same as who takes JSON: every event, and every answer."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
import zmq
from daemons import HANGING
from hypothesis import given
from hypothesis import strategies as st
from running import running

from edge.endpoints import request_endpoint
from edge.errors import EarmarkError
from edge.events import VERSION, Envelope, Event, SpeechStarted, decode, encode
from edge.packing import is_packed, pack, repack
from edge.publisher import Publisher

POSITIONS = st.integers(-(1 << 63), (1 << 63) - 1)
PLAIN: dict[object, st.SearchStrategy[Any]] = {
    int: POSITIONS,
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(),
    bool: st.booleans(),
    type(None): st.none(),
}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type, as they are in events."""
    arguments = typing.get_args(kind)
    if kind in PLAIN:
        return PLAIN[kind]
    if typing.get_origin(kind) is Literal:
        return st.sampled_from(arguments)
    if typing.get_origin(kind) is tuple:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if isinstance(kind, types.UnionType) or arguments:
        return st.one_of(*map(values, arguments))
    return st.builds(kind, **{f.name: values(f.type) for f in msgspec.structs.fields(kind)})


@pytest.mark.parametrize("kind", typing.get_args(Event))
@given(data=st.data())
def test_both_encodings_of_an_event_are_the_same(kind: type, data: st.DataObject) -> None:
    event = data.draw(values(kind))
    envelope = data.draw(values(Envelope).map(lambda e: msgspec.structs.replace(e, event=event)))
    text, packed = encode(envelope), pack(envelope)
    assert is_packed(packed)
    assert not is_packed(text)
    assert msgspec.msgpack.decode(packed, type=Envelope) == decode(text) == envelope
    # What is written tells 1 from 1.0, and names that have changed places.
    assert repr(msgspec.msgpack.decode(packed)) == repr(json.loads(text))
    assert repack(text) == packed


def test_numbers_keep_their_kinds() -> None:
    """Where a float is whole, and where an integer is beyond what a float can tell."""
    envelope = Envelope(VERSION, "j.0", "mic", 0, (1 << 53) + 1, 5.0, SpeechStarted(1 << 62))
    back = msgspec.msgpack.decode(pack(envelope))
    assert (back["sample"], back["event"]["sample"]) == ((1 << 53) + 1, 1 << 62)
    assert type(back["utc"]) is float


@pytest.mark.parametrize("line", [b'{"utc":1e999}', b'{"seq":%d}' % (1 << 64), b'{"a":"\\ud800"}'])
def test_what_messagepack_lacks_is_told(line: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        repack(line)


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    with Publisher(f"ipc://{tmp_path / 'events'}", tmp_path / "journal") as publisher:
        yield publisher


def ask(endpoint: str, request: bytes) -> bytes:
    """What a daemon answers."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as peer:
        peer.linger = 0
        peer.connect(request_endpoint(endpoint))
        peer.send(request)
        assert peer.poll(round(HANGING * 1000)), "no answer"
        return peer.recv()


def answers(endpoint: str, request: dict[str, Any]) -> tuple[Any, Any]:
    """What a daemon answers to a request in JSON, and to the same in MessagePack."""
    text = ask(endpoint, json.dumps(request).encode())
    packed = ask(endpoint, msgspec.msgpack.encode(request))
    return json.loads(text), msgspec.msgpack.decode(packed)


@pytest.mark.parametrize(
    "request_",
    [
        {"v": 1, "id": 1, "type": "snapshot"},
        {"v": 1, "id": 2, "type": "replay", "start": 0},
        {"v": 1, "id": 3, "type": "replay", "start": 2},
        {"v": 1, "id": 4, "type": "replay", "start": 99},
        {"v": 1, "id": 5, "type": "replay"},
        {"v": 3, "id": 6, "type": "status"},
    ],
)
def test_the_answer_comes_in_the_encoding_of_the_request(
    publisher: Publisher, request_: dict[str, Any]
) -> None:
    for number in range(3):
        publisher.publish("mic", SpeechStarted(number), number)
    text, packed = answers(publisher.endpoint, request_)
    assert packed["id"] == request_["id"]
    if packed["type"] == "refusal":
        text.pop("what"), packed.pop("what")  # the place in the bytes may be told
    assert repr(packed) == repr(text)


def test_a_status_is_the_same_in_both(publisher: Publisher) -> None:
    text, packed = answers(publisher.endpoint, {"v": 1, "id": 1, "type": "status"})
    assert [type(value) for value in packed.values()] == [type(value) for value in text.values()]
    assert packed | {"seconds": 0} == text | {"seconds": 0}


@pytest.mark.parametrize("damaged", [{0}, {2}, {1, 2, 4}, {4}, {0, 1, 2, 3, 4}])
def test_a_line_that_became_other_json_costs_its_event_alone(
    publisher: Publisher, tmp_path: Path, damaged: set[int]
) -> None:
    """MessagePack has no such number: without an answer, it would be asked for again for ever."""
    for number in range(5):
        publisher.publish("mic", SpeechStarted(number), number)
    (segment,) = (tmp_path / "journal").glob("*.jsonl")
    lines = segment.read_bytes().splitlines()
    for number in damaged:
        lines[number] = lines[number].replace(b'"v":2', b'"v":2e999')
    segment.write_bytes(b"".join(line + b"\n" for line in lines))
    place, found = 0, []
    while place < 5:
        asked = {"v": 1, "id": 1, "type": "replay", "start": place}
        answer = msgspec.msgpack.decode(ask(publisher.endpoint, msgspec.msgpack.encode(asked)))
        numbers = [event["seq"] for event in answer["events"]]
        assert numbers == list(range(answer["next"] - len(numbers), answer["next"]))
        assert place < answer["next"] <= answer["end"] == 5
        found += numbers
        place = answer["next"]
    assert found == [number for number in range(5) if number not in damaged]


def test_a_subscriber_of_json_gets_no_messagepack(tmp_path: Path) -> None:
    """Who subscribes to everything gets each event once, whatever others get."""
    endpoint, packed = (f"ipc://{tmp_path / name}" for name in ("events", "packed"))
    with (
        Publisher(endpoint, tmp_path / "journal", msgpack=packed) as publisher,
        zmq.Context() as context,
        context.socket(zmq.SUB) as texts,
        context.socket(zmq.SUB) as packs,
    ):
        for socket, address, topic in ((texts, endpoint, ""), (packs, packed, "mic/speech")):
            socket.subscribe(topic)
            socket.connect(address)
            assert publisher.wait_for_subscriber(HANGING)
        sent = [publisher.publish("mic", SpeechStarted(n), n) for n in range(3)]
        for socket, written in ((texts, encode), (packs, pack)):
            for envelope in sent:
                assert socket.poll(round(HANGING * 1000))
                assert socket.recv_multipart() == [b"mic/speech", written(envelope)]
            assert not socket.poll(100)


@pytest.mark.parametrize(
    ("msgpack", "what"),
    [
        ("tcp://0.0.0.0:7709", "other machines"),
        ("7709", "expected tcp"),
        ("ipc://FOLDER/events", "msgpack is .* where endpoint 'ipc.*' has"),
        ("ipc://FOLDER/events.ask", "msgpack is .* where endpoint 'ipc.*' has"),
        ("ipc://FOLDER/others", "in use"),
    ],
)
def test_an_endpoint_of_messagepack_that_cannot_be_is_refused(
    tmp_path: Path, msgpack: str, what: str
) -> None:
    """libzmq by itself would put it in the place of the others."""
    msgpack = msgpack.replace("FOLDER", str(tmp_path))
    with (
        Publisher(f"ipc://{tmp_path / 'others'}", tmp_path / "others' journal"),
        pytest.raises(EarmarkError, match=what),
    ):
        Publisher(f"ipc://{tmp_path / 'events'}", tmp_path / "journal", msgpack=msgpack)


def test_a_daemon_says_where_messagepack_goes_out(tmp_path: Path) -> None:
    packed = f"ipc://{tmp_path / 'packed'}"
    with running(tmp_path, msgpack=packed) as daemon:
        assert daemon.line("publishing")["what"].endswith(f"and as MessagePack on {packed}")
        with zmq.Context() as context, context.socket(zmq.SUB) as events:
            events.subscribe("mic/health")
            events.connect(packed)
            assert events.poll(round(HANGING * 1000))
            envelope = msgspec.msgpack.decode(events.recv_multipart()[1], type=Envelope)
    assert (envelope.v, envelope.stream) == (VERSION, "mic")
