"""Every event once and in order, whoever was killed, restarted or slow meanwhile."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from daemons import HANGING, next_event, tiny_daemon
from msgspec import Raw
from msgspec.structs import replace

from edge.client import Bookmark, Subscriber
from edge.events import (
    MAX_PROVISIONAL,
    VERSION,
    Envelope,
    Event,
    Overlap,
    Segment,
    SpeakerCreated,
    SpeakerMerged,
    SpeechStarted,
    Verdict,
    decode,
    encode,
)
from edge.protocol import MAX_REPLY, Snapshot, answer_to, journal_of
from edge.publisher import Publisher
from edge.snapshot import MAX_SPEAKERS, Present
from edge.timeline import Timeline
from edge.tracker_config import MAX_STRETCHES, HorizonConfig

TESTS = Path(__file__).parent


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path / 'events'}"


@contextmanager
def storm(endpoint: str, journal: Path, rate: int, count: int) -> Iterator[subprocess.Popen[str]]:
    """`count` events, once a line is written to it."""
    command = [sys.executable, str(TESTS / "storm.py"), endpoint, str(journal)]
    process = subprocess.Popen(
        [*command, str(rate), str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@contextmanager
def recorder(endpoint: str, file: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(TESTS / "recorder.py"), endpoint, str(file)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "joined\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def record_through_kills(endpoint: str, folder: Path, rate: int, kills: int) -> int:
    """Kill a subscriber again and again under `rate` events a second; how many events came."""
    file = folder / "recorded.jsonl"
    count = kills * rate // 2
    chance = random.Random(kills)
    with storm(endpoint, folder / "journal", rate, count) as process:
        for kill in range(kills):
            with recorder(endpoint, file):
                if kill == 0:
                    begin(process)
                time.sleep(chance.uniform(0.0, 0.3))
        with recorder(endpoint, file):
            assert process.stdout is not None
            print(process.stdout.readline())
            deadline = time.monotonic() + HANGING
            while lines(file) < count and time.monotonic() < deadline:
                time.sleep(0.05)
    recorded = [decode(line) for line in file.read_bytes().splitlines()]
    assert [e.seq for e in recorded] == list(range(count))
    assert [e.sample for e in recorded] == list(range(count))
    return count


def lines(file: Path) -> int:
    return file.read_bytes().count(b"\n")


def test_a_subscriber_killed_again_and_again_gets_every_event_once(
    endpoint: str, tmp_path: Path
) -> None:
    record_through_kills(endpoint, tmp_path, rate=2_000, kills=4)


@pytest.mark.soak
def test_a_subscriber_killed_a_hundred_times_under_ten_thousand_events_a_second(
    endpoint: str, tmp_path: Path
) -> None:
    record_through_kills(endpoint, tmp_path, rate=10_000, kills=100)


def test_a_daemon_killed_again_and_again_goes_on_numbering(endpoint: str, tmp_path: Path) -> None:
    options = ["--journal", str(tmp_path / "journal"), "--blocks", "1000000", "--pace", "0.002"]
    received: list[Envelope] = []
    with Subscriber(endpoint) as events:
        for _ in range(3):
            with tiny_daemon(endpoint, *options) as process:
                session = (received or [next_event(events)])[-1].session
                received += [next_event(events) for _ in range(5)]
                while received[-1].session == session and len(received) > 5:
                    received.append(next_event(events))
                process.kill()
                process.wait(HANGING)
        assert (events.missed, events.malformed) == (0, 0)
    numbers = [e.seq for e in received]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len({e.session for e in received}) >= 3
    assert len({journal_of(e.session) for e in received}) == 1


def test_what_is_published_while_a_subscriber_is_away_waits_for_it(tmp_path: Path) -> None:
    with Publisher("tcp://127.0.0.1:*", tmp_path) as publisher:
        with Subscriber(publisher.endpoint) as events:
            assert events.join(HANGING)
            sent = [publisher.publish("a", SpeechStarted(n), n) for n in range(3)]
            assert [events.receive(HANGING) for _ in range(2)] == sent[:2]
            bookmark = events.bookmark
        sent += [publisher.publish("b", SpeechStarted(n), n) for n in range(2_500)]
        with Subscriber(publisher.endpoint, bookmark=bookmark) as events:
            assert [events.receive(HANGING) for _ in sent[2:]] == sent[2:]
            assert events.missed == 0


def test_what_the_journal_no_longer_has_is_counted(tmp_path: Path) -> None:
    with Publisher("tcp://127.0.0.1:*", tmp_path / "journal") as publisher:
        sent = [publisher.publish("a", SpeechStarted(n), n) for n in range(10)]
        journal = journal_of(sent[0].session)
    first = min((tmp_path / "journal").glob("*.jsonl"))
    kept = first.read_bytes().splitlines(keepends=True)[4:]
    first.unlink()
    (tmp_path / "journal" / f"{4:020}.jsonl").write_bytes(b"".join(kept))
    with (
        Publisher("tcp://127.0.0.1:*", tmp_path / "journal") as publisher,
        Subscriber(publisher.endpoint, bookmark=Bookmark(journal, 1)) as events,
    ):
        assert [events.receive(HANGING) for _ in range(6)] == sent[4:]
        assert events.missed == 3


def test_another_journal_is_followed_from_its_beginning(endpoint: str, tmp_path: Path) -> None:
    with Subscriber(endpoint) as events:
        with Publisher(endpoint, tmp_path / "one") as publisher:
            assert events.join(HANGING)
            sent = [publisher.publish("a", SpeechStarted(n), n) for n in range(20)]
            assert [events.receive(HANGING) for _ in range(20)] == sent
        with Publisher(endpoint, tmp_path / "two") as publisher:
            sent = [publisher.publish("a", SpeechStarted(n), n) for n in range(30)]
            assert [events.receive(HANGING) for _ in range(30)] == sent
        assert events.missed == 0


def test_a_subscriber_that_stops_reading_harms_nobody(endpoint: str, tmp_path: Path) -> None:
    count = 25_000  # more than both sockets hold
    file = tmp_path / "recorded.jsonl"
    with (
        storm(endpoint, tmp_path / "journal", 6_000, count) as process,
        recorder(endpoint, file) as slow,
    ):
        slow.send_signal(signal.SIGSTOP)
        with Subscriber(endpoint) as events:
            assert events.join(HANGING)
            begin(process)
            assert [next_event(events).seq for _ in range(count)] == list(range(count))
        assert lines(file) < count
        slow.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + HANGING
        while lines(file) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        resident = Path(f"/proc/{slow.pid}/statm").read_text().split()[1]
        assert int(resident) * os.sysconf("SC_PAGE_SIZE") < 100 << 20
    assert [decode(line).seq for line in file.read_bytes().splitlines()] == list(range(count))


def test_who_joins_late_knows_how_things_stand(tmp_path: Path) -> None:
    whole, late = Timeline(), Timeline()
    with Publisher("tcp://127.0.0.1:*", tmp_path) as publisher:
        said: list[Event] = [
            SpeechStarted(0),
            SpeakerCreated(0, "speaker1"),
            SpeakerCreated(0, "speaker2"),
            Segment(1, 0, "provisional", "speaker1", 0, 10),
            Segment(2, 0, "provisional", "speaker2", 10, 20),
            Segment(1, 1, "final", "speaker1", 0, 12),
            SpeakerMerged(20, "speaker2", "speaker1"),
            *(Segment(n, 0, "final", "speaker1", n, n + 1) for n in range(3, MAX_PROVISIONAL)),
        ]
        for event in said:
            whole.apply(publisher.publish("a", event, 20))
        with Subscriber(publisher.endpoint) as events:
            assert events.join(HANGING)
            for envelope in events.state:
                late.apply(envelope)
            following = publisher.publish("a", SpeechStarted(30), 30)
            assert events.receive(HANGING) == following
    assert late.segments == whole.segments
    assert late.speakers == whole.speakers
    assert (late.position, late.speaking) == (whole.position, whole.speaking)


def test_who_joins_late_knows_every_segment_that_may_still_change() -> None:
    """In the largest horizon, with the segment that closes and the one that is open."""
    changing = range(HorizonConfig(stretches=MAX_STRETCHES).stretches + 2)
    present, late = Present(), Timeline()
    said: list[Event] = [Segment(n, 0, "provisional", "ada", n, n + 1) for n in changing]
    said += [Verdict(n + 1, n, "ada", "yes", 9.0, 1.0) for n in changing]
    for seq, event in enumerate(said):
        present.apply(Envelope(VERSION, "s", "a", seq, 0, 0.0, event))
    for envelope in present.envelopes():
        late.apply(envelope)
    assert list(late.segments) == list(changing)
    assert list(late.verdicts) == list(changing)


def test_how_things_stand_with_many_streams_fits_into_a_reply() -> None:
    """Else nobody could join: the reply would be asked for again for ever."""
    present = Present()
    both = tuple(Overlap(n, n + 4_800, "speaker2") for n in range(12))
    said: list[Event] = [SpeakerCreated(n, f"speaker{n}") for n in range(MAX_SPEAKERS)]
    last = MAX_PROVISIONAL - 1
    for n in range(MAX_PROVISIONAL):
        segment = Segment(n, 9, "final", "speaker1", n, n + 1, 1 / 3, "speaker2", 1 / 3, both)
        said.append(replace(segment, state="provisional") if n in (0, last) else segment)
        said.append(Verdict(n, n, "speaker1", "not yet", 1 / 3, 1 / 3))
    streams = [f"room{number}" for number in range(64)]
    for stream in streams:
        for seq, event in enumerate(said):
            present.apply(Envelope(VERSION, "s", stream, seq, 1 << 40, 1 / 3, event))
    told = present.envelopes()
    lines = [Raw(encode(envelope)) for envelope in told]
    reply = Snapshot(id=0, session="s", next=0, events=lines)
    assert len(answer_to(b"{}", reply)) <= MAX_REPLY
    for stream in streams:
        own = [e.event for e in told if e.stream == stream]
        kept = {event.id for event in own if isinstance(event, Segment)}
        assert {0, last - 1, last} < kept
        assert {event.segment for event in own if isinstance(event, Verdict)} == kept


def test_the_last_events_of_all_are_not_lost_either(endpoint: str, tmp_path: Path) -> None:
    """Nothing follows them that would show a hole, and there is nobody to be asked."""
    with Subscriber(endpoint) as events:
        with Publisher(endpoint, tmp_path / "journal") as publisher:
            assert events.join(HANGING)
            # Who has joined by the one socket may yet have to connect by the other.
            assert publisher.wait_for_subscriber(HANGING)
            sent = [publisher.publish("a", SpeechStarted(n), n) for n in range(100)]
        assert [events.receive(HANGING) for _ in sent] == sent
        assert events.missed == 0


def test_a_journal_put_back_to_an_older_copy_hides_no_event(endpoint: str, tmp_path: Path) -> None:
    """Its numbers have been given already, to other events, and the daemon cannot know it."""
    journal, copy = tmp_path / "journal", tmp_path / "copy"

    def run(count: int) -> list[Envelope]:
        with Publisher(endpoint, journal) as publisher:
            sent = [publisher.publish("a", SpeechStarted(n), n) for n in range(count)]
            if count:
                assert [events.receive(HANGING) for _ in sent] == sent
        return sent

    with Subscriber(endpoint) as events:
        with Publisher(endpoint, journal):
            assert events.join(HANGING)
        shutil.copytree(journal, copy)
        run(200)
        shutil.rmtree(journal)
        copy.rename(journal)
        run(50)
        assert events.missed == 0
