"""Risk: sound from another machine is lost or moved without a word, or comes from a stranger."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
import zmq
from daemons import HANGING, next_event
from hypothesis import given
from hypothesis import strategies as st
from running import running
from shell import earmark
from voices import RATE, conversation

from edge.client import Subscriber
from edge.errors import EarmarkError
from edge.events import Event, Segment, SourceGap, SourceLost, SourceOpened, SourceRestored
from edge.feed import Feed
from edge.keyring import Client, Keyring, change_keyring, make_keyring
from edge.packet import MAX_SAMPLES, Header, Packet, decode, encode
from edge.requests import Keys
from edge.satellite import Outbox, Sender, relay
from edge.sources import Block, Source
from edge.sources.satellite import SatelliteSource

ONE, OTHER = "1" * 16, "2" * 16
STEP = RATE // 10
DROPPED = "the daemon takes no audio; it is dropped until it does"


def packet(start: int, session: str = ONE) -> Packet:
    """Samples that tell where they are from, and survive 16 bits."""
    ramp = (np.arange(start, start + STEP) % 30_000).astype(np.float32) / np.float32(32768)
    return Packet(Header(session=session, start=start), ramp)


@contextmanager
def link(keys: Path | None = None) -> Iterator[tuple[Source, Sender]]:
    with (
        SatelliteSource("tcp://127.0.0.1:*", keys) as source,
        Sender(source.endpoint) as sender,
    ):
        yield source, sender


def heard(source: Source, count: int) -> list[Block]:
    blocks = source.blocks()
    return [next(blocks) for _ in range(count)]


@given(st.integers(0, 1 << 62), st.lists(st.integers(-32768, 32767), min_size=1, max_size=400))
def test_a_packet_comes_as_it_was_sent(start: int, values: list[int]) -> None:
    samples = np.array(values, dtype=np.float32) / np.float32(32768)
    back = decode(encode(Packet(Header(session=ONE, start=start), samples)))
    assert back.header == Header(session=ONE, start=start)
    np.testing.assert_array_equal(back.samples, samples)


@given(st.lists(st.binary(max_size=400), max_size=3))
def test_garbage_is_no_packet(frames: list[bytes]) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(frames)


@pytest.mark.parametrize(
    "frames",
    [
        [b'{"v":2,"session":"1111111111111111","start":0}', b"\0\0"],
        [b'{"v":1,"session":"../../etc/passwd!","start":0}', b"\0\0"],
        [b'{"v":1,"session":"1111111111111111","start":-1}', b"\0\0"],
        [b'{"v":1,"session":"1111111111111111","start":9223372036854775807}', b"\0\0"],
        [b'{"v":1,"session":"1111111111111111","start":0}', b""],
        [b'{"v":1,"session":"1111111111111111","start":0}', b"\0\0\0"],
        [b'{"v":1,"session":"1111111111111111","start":0}', bytes(2 * MAX_SAMPLES + 2)],
        [b'{"v":1,"session":"1111111111111111","start":0}' + b" " * 300, b"\0\0"],
        [b"[" * 250, b"\0\0"],
        [b"\xff\xfe", b"\0\0"],
    ],
)
def test_almost_packets_are_refused(frames: list[bytes]) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(frames)


def test_sound_comes_bit_for_bit_and_what_is_missing_is_told() -> None:
    with link() as (source, sender):
        for start in (0, STEP, 5 * STEP):
            sender.send(packet(start))
        blocks = heard(source, 3)
    assert [block.gap for block in blocks[1:]] == [0, 3 * STEP]
    for block, start in zip(blocks, (0, STEP, 5 * STEP), strict=True):
        np.testing.assert_array_equal(block.samples, packet(start).samples)


def test_positions_beyond_32_bits() -> None:
    start = (1 << 33) - STEP
    with link() as (source, sender):
        for at in (start, start + STEP):
            sender.send(packet(at))
        assert [block.gap for block in heard(source, 2)][1] == 0


def test_what_comes_twice_or_from_another_is_dropped() -> None:
    with link() as (source, sender):
        for sent in (packet(0), packet(0), packet(0, OTHER), packet(STEP)):
            sender.send(sent)
        blocks = heard(source, 2)
        np.testing.assert_array_equal(blocks[1].samples, packet(STEP).samples)
        assert source.refused == 2


def test_a_stranger_who_talks_nonsense_is_harmless() -> None:
    with (
        link() as (source, sender),
        zmq.Context() as context,
        context.socket(zmq.PUSH) as stranger,
    ):
        stranger.linger = 0
        stranger.connect(source.endpoint)  # type: ignore[attr-defined]
        stranger.send(b"GET / HTTP/1.1")
        stranger.send_multipart([b"{}", b"", b""])
        stranger.send(bytes(1 << 20))  # too much: it is cut off
        sender.send(packet(0))
        (block,) = heard(source, 1)
        np.testing.assert_array_equal(block.samples, packet(0).samples)


def test_junk_is_no_silence() -> None:
    """It comes at once: so many messages are no second."""
    with (
        SatelliteSource("tcp://127.0.0.1:*") as source,
        zmq.Context() as context,
        context.socket(zmq.PUSH) as peer,
    ):
        peer.linger = 0
        peer.connect(source.endpoint)
        for _ in range(40):
            peer.send(b"junk")
        peer.send_multipart(encode(packet(0)))
        (block,) = heard(source, 1)
        np.testing.assert_array_equal(block.samples, packet(0).samples)


def test_a_satellite_begun_anew_at_once_is_heard_after_a_second() -> None:
    """Its packets are no sign of life of the one before."""
    count = 60
    with link() as (source, sender):
        sender.send(packet(0))
        blocks = source.blocks()
        next(blocks)

        def send() -> None:
            for k in range(count):
                sender.send(packet(k * STEP, OTHER))
                time.sleep(0.05)

        other = threading.Thread(target=send)
        other.start()
        try:
            with pytest.raises(EarmarkError, match="nothing came from the satellite"):
                next(blocks)
            assert source.refused < count  # it was not the other's end that was waited for
            assert source.reopen()
            assert len(heard(source, 2)) == 2
        finally:
            other.join()


def test_a_silent_satellite_is_lost_and_heard_again_where_it_is() -> None:
    with link() as (source, sender):
        sender.send(packet(0))
        blocks = source.blocks()
        next(blocks)
        with pytest.raises(EarmarkError, match="nothing came from the satellite"):
            next(blocks)
        sender.send(packet(40 * STEP))
        assert source.reopen()
        assert next(source.blocks()).gap == 39 * STEP


def test_a_position_that_is_nonsense_deafens_nobody_for_good() -> None:
    """All that was true after it came too late."""
    with link() as (source, sender):
        sender.send(packet(0))
        blocks = source.blocks()
        next(blocks)
        sender.send(packet(1 << 40))
        next(blocks)
        sender.send(packet(2 * STEP))
        with pytest.raises(EarmarkError, match="nothing came from the satellite"):
            next(blocks)
        sender.send(packet(3 * STEP))
        assert source.reopen()
        next(source.blocks())
        sender.send(packet(4 * STEP))
        assert next(source.blocks()).gap == 0


def test_a_new_satellite_follows_by_the_clock() -> None:
    """Its own positions say nothing about how long nobody was heard."""
    with link() as (source, sender):
        sender.send(packet(0))
        blocks = source.blocks()
        next(blocks)
        with pytest.raises(EarmarkError):
            next(blocks)
        sender.send(packet(0, OTHER))
        assert source.reopen()
        assert 0.7 * RATE < next(source.blocks()).gap < 10 * RATE


def test_only_a_key_with_that_right_is_heard(tmp_path: Path) -> None:
    daemon = tmp_path / "daemon"
    public = make_keyring(daemon).public
    listener, satellite, stranger = (
        Keys(tmp_path / name, public) for name in ("listener", "satellite", "stranger")
    )
    for keys, audio in ((listener, False), (satellite, True)):
        client = Client(keys.file.name, make_keyring(keys.file).public, False, audio)
        change_keyring(daemon, partial(Keyring.allow, client=client))
    make_keyring(stranger.file)
    with SatelliteSource("tcp://127.0.0.1:*", daemon) as source:
        refused: tuple[Keys | None, ...] = (listener, stranger, None)
        for no_right in refused:
            with Sender(source.endpoint, no_right) as sender:
                sender.send(packet(0))
                with pytest.raises(EarmarkError, match="nothing came"):
                    next(source.blocks())
        with Sender(source.endpoint, satellite) as sender:
            sender.send(packet(0))
            blocks = source.blocks()
            next(blocks)
            change_keyring(daemon, lambda ring: ring.revoke("satellite"))
            sender.send(packet(STEP))
            with pytest.raises(EarmarkError, match="nothing came"):
                next(blocks)


def test_a_satellite_whose_key_is_allowed_later_is_heard(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """First it is a listener's; who may not send is told so, and not that it is connected."""
    daemon, keys = tmp_path / "daemon", tmp_path / "satellite"
    server, public = make_keyring(daemon).public, make_keyring(keys).public
    for audio in (False, True):
        client = Client("satellite", public, commands=False, audio=audio)
        change_keyring(daemon, partial(Keyring.allow, client=client))
        if not audio:
            source = SatelliteSource("tcp://127.0.0.1:*", daemon)
            sender = Sender(source.endpoint, Keys(keys, server))
            assert not sender.reached()
            assert caplog.text.count("does not allow this key") == 1
    with source, sender:
        deadline = time.monotonic() + HANGING
        while not sender.reached() and time.monotonic() < deadline:
            pass
        assert sender.reached()
        sender.send(packet(0))
        next(source.blocks())


def test_other_machines_need_keys() -> None:
    with pytest.raises(EarmarkError, match="unencrypted"):
        SatelliteSource("tcp://0.0.0.0:7711")


def test_an_endpoint_in_use_is_told() -> None:
    with (
        SatelliteSource("tcp://127.0.0.1:*") as source,
        pytest.raises(EarmarkError, match="in use"),
    ):
        SatelliteSource(source.endpoint)


class Lossy(Source):
    """48 kHz, with a hole of a second."""

    name, rate, channels = "lossy", 48_000, 1

    def blocks(self) -> Iterator[Block]:
        yield Block(np.zeros(4800, dtype=np.float32))
        yield Block(np.ones(4800, dtype=np.float32), gap=24_000, lost=24_000)

    def close(self) -> None:
        pass


def test_what_the_satellite_lost_is_in_the_positions() -> None:
    with SatelliteSource("tcp://127.0.0.1:*") as source:
        with Sender(source.endpoint) as sender:
            relay(Lossy, sender, lambda: False)
        blocks: list[Block] = []
        with pytest.raises(EarmarkError, match="nothing came"):
            for block in source.blocks():
                blocks.append(block)
    total = sum(len(block.samples) + block.gap for block in blocks) - blocks[0].gap
    assert total == 1600 + RATE + 1600


class Short(Source):
    """Blocks of a fiftieth of a second, until it is closed."""

    name, rate, channels = "short", RATE, 1
    closed = False

    def blocks(self) -> Iterator[Block]:
        while not self.closed:
            yield Block(np.ones(RATE // 50, dtype=np.float32))

    def close(self) -> None:
        self.closed = True


def test_a_satellite_that_is_stopped_sends_all_that_it_has_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pushed: list[Block] = []

    class Counting(Feed):
        def push(self, block: Block) -> list[Event]:
            events = super().push(block)
            pushed.append(block)
            return events

    monkeypatch.setattr("edge.satellite.Feed", Counting)
    sent: list[Packet] = []
    with Sender("tcp://127.0.0.1:9") as sender:
        monkeypatch.setattr(sender, "send", sent.append)
        relay(Short, sender, lambda: len(pushed) == 7)
    assert sum(len(each.samples) for each in sent) == 7 * RATE // 50


def test_sound_that_nobody_took_is_told(tmp_path: Path) -> None:
    path = tmp_path / "short.wav"
    soundfile.write(path, np.zeros(STEP), RATE)
    result = earmark("satellite", f"ipc://{tmp_path / 'nobody'}", "--wav", path)
    assert result.returncode == 1
    assert "took the sound" in result.stderr


def test_a_daemon_that_never_was_there_is_not_gone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """With keys on one side alone it was, ten times a second; without a daemon nothing was told."""
    monkeypatch.setattr("edge.satellite.PATIENCE", 0.0)
    with Sender("tcp://127.0.0.1:9") as sender:
        assert not sender.reached()
    assert "no daemon has answered yet" in caplog.text
    make_keyring(tmp_path / "daemon")
    with link(tmp_path / "daemon") as (_, sender):
        assert not sender.reached()
    assert "the daemon is gone" not in caplog.text
    source = SatelliteSource("tcp://127.0.0.1:*")
    with Sender(source.endpoint) as sender:
        with source:
            assert sender.reached()
        while "the daemon is gone" not in caplog.text:
            sender.watch()


@pytest.mark.parametrize("size", [160, 513, STEP, 2 * RATE])
def test_a_satellite_keeps_five_seconds_for_a_daemon_that_is_away(
    size: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a microphone's short blocks it kept less than two, and each one dropped was a line."""
    outbox, endpoint = Outbox(ONE), f"ipc://{tmp_path / 'sound'}"
    with (
        Sender(endpoint) as sender,
        zmq.Context() as context,
        context.socket(zmq.PULL) as daemon,
    ):

        def came() -> Packet:
            assert daemon.poll(round(HANGING * 1000))
            return decode(daemon.recv_multipart())

        for _ in range(-(-7 * RATE // size)):
            outbox.push(np.zeros(size, dtype=np.float32))
        outbox.flush()
        for each in outbox.take():
            sender.send(each)
        assert [line.getMessage() for line in caplog.records].count(DROPPED) == 1
        daemon.bind(endpoint)
        end = 0
        while end < 5 * RATE:
            kept = came()
            assert kept.header.start == end
            end = kept.end
        later = packet(outbox.position)
        for _ in range(round(HANGING * 1000)):  # ZeroMQ looks for new room once a millisecond
            sender.send(later)
            if daemon.poll(1):
                break
        assert (end, came().header.start) == (5 * RATE, outbox.position)


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 500)), max_size=20))
def test_packets_are_where_their_samples_were(blocks: list[tuple[int, int]]) -> None:
    """Each block comes behind so many lost samples."""
    outbox = Outbox(ONE)
    heard: list[int] = []
    for count, lost in blocks:
        if lost:
            outbox.skip(lost, SourceGap)
        heard += range(outbox.position, outbox.position + count)
        outbox.push(np.arange(outbox.position, outbox.position + count, dtype=np.float32))
    outbox.flush()
    packets = outbox.take()
    sent = [sample for p in packets for sample in range(p.header.start, p.end)]
    assert sent == heard
    np.testing.assert_array_equal(np.concatenate([[], *(p.samples for p in packets)]), heard)


def test_a_satellite_heard_by_a_daemon_dies_and_comes_back(tmp_path: Path) -> None:
    """Both are real processes; what the daemon says is what it says of the file."""
    path, endpoint = tmp_path / "c.flac", f"ipc://{tmp_path / 'sound'}"
    soundfile.write(path, conversation()[: 7 * RATE], RATE, subtype="PCM_16")
    words = [sys.executable, "-m", "edge.cli", "satellite", endpoint, "--wav", str(path)]
    source = {"satellite": endpoint}
    with running(tmp_path, source=source, wait_for_subscriber=True) as daemon:
        daemon.line("publishing")
        with Subscriber(f"ipc://{tmp_path / 'events'}") as events:
            assert events.join(HANGING)

            def until(kind: type) -> object:
                while not isinstance(event := next_event(events).event, kind):
                    pass
                return event

            until(SourceOpened)
            until(SourceLost)
            first = subprocess.Popen(words, stderr=subprocess.DEVNULL)
            until(SourceRestored)
            until(SourceGap)
            segment = until(Segment)
            assert isinstance(segment, Segment)
            first.send_signal(signal.SIGKILL)
            first.wait()
            until(SourceLost)
            subprocess.run(words, check=True, timeout=HANGING)
            until(SourceRestored)
            gap = until(SourceGap)
            assert isinstance(gap, SourceGap)
            assert gap.end - gap.start > RATE // 2
            again = until(Segment)
            assert isinstance(again, Segment)
            assert again.start > gap.start
