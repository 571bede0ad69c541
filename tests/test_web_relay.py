"""Risk: a browser that comes late, drops out or is slow misses events, or sees some twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from daemons import HANGING
from web_server import web

from edge.client import Bookmark, Subscriber
from edge.events import Segment, SpeechStarted
from edge.publisher import Publisher
from edge.web.relay import KEPT, PAGE, Message, Relay, parse_bookmark


@asynccontextmanager
async def following(endpoint: str) -> AsyncIterator[Relay]:
    """A relay that has joined the daemon."""
    with Subscriber(endpoint) as events:
        relay = Relay(events)
        task = asyncio.create_task(relay.follow())
        try:
            await reached(relay, 0)
            yield relay
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def reached(relay: Relay, seq: int) -> None:
    """Wait until the relay knows all before `seq`."""
    async with asyncio.timeout(HANGING):
        while True:
            changed = relay.changed
            message = relay.after(None)
            if message is not None and message.bookmark.next >= seq:
                return
            await changed.wait()


def browse(relay: Relay, place: Bookmark | None) -> tuple[list[Message], Bookmark | None]:
    """All messages for a browser at a place, and where it is then."""
    messages = []
    while (message := relay.after(place)) is not None:
        messages.append(message)
        place = message.bookmark
    return messages, place


def say(publisher: Publisher, count: int) -> None:
    for _ in range(count):
        publisher.publish("mic", SpeechStarted(0), 0)


def seqs(messages: list[Message]) -> list[int]:
    assert all(message.kind == "events" for message in messages)
    assert all(len(message.envelopes) <= PAGE for message in messages)
    return [envelope.seq for message in messages for envelope in message.envelopes]


def test_a_browser_gets_the_state_and_then_every_event_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        with Publisher(f"ipc://{tmp_path / 'e'}", tmp_path / "journal") as publisher:
            publisher.publish("mic", Segment(0, 0, "final", "ada", 0, 9), 9)
            say(publisher, 3)
            async with following(publisher.endpoint) as relay:
                (state,), place = browse(relay, None)
                assert state.kind == "state"
                assert any(isinstance(e.event, Segment) for e in state.envelopes)
                assert relay.after(place) is None
                say(publisher, 2 * PAGE + 1)
                await reached(relay, 4 + 2 * PAGE + 1)
                messages, end = browse(relay, place)
                assert seqs(messages) == list(range(4, 4 + 2 * PAGE + 1))
                # Its id comes back from the browser as text, after a loss of the connection.
                mark = messages[0].encode().split(b"\n")[0].removeprefix(b"id: ").decode()
                again, same = browse(relay, parse_bookmark(mark))
                assert seqs(again) == list(range(4 + PAGE, 4 + 2 * PAGE + 1))
                assert same == end

    asyncio.run(scenario())


def test_a_browser_that_is_too_slow_begins_anew(tmp_path: Path) -> None:
    async def scenario() -> None:
        with Publisher(f"ipc://{tmp_path / 'e'}", tmp_path / "journal") as publisher:
            say(publisher, 1)
            async with following(publisher.endpoint) as relay:
                _, place = browse(relay, None)
                say(publisher, KEPT + 1)
                await reached(relay, KEPT + 2)
                (message,), _ = browse(relay, place)
                assert message.kind == "state"

    asyncio.run(scenario())


def test_a_daemon_that_is_restarted_is_followed(tmp_path: Path) -> None:
    async def scenario() -> None:
        endpoint, journal = f"ipc://{tmp_path / 'e'}", tmp_path / "journal"
        first = Publisher(endpoint, journal)
        say(first, 2)
        async with following(endpoint) as relay:
            _, place = browse(relay, None)
            first.close()
            with Publisher(endpoint, journal) as second:
                await asyncio.to_thread(second.wait_for_subscriber, HANGING)
                say(second, 3)
                await reached(relay, 5)
                messages, _ = browse(relay, place)
                assert seqs(messages) == [2, 3, 4]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "text", ["", "x", "a:b", "a:-1", "a:1:2", "a:1٠", "a b:1", "é:1", "a:" + "9" * 40]
)
def test_an_id_that_is_none_is_none(text: str) -> None:
    assert parse_bookmark(text) is None


def test_a_page_that_was_cut_off_is_sent_what_it_missed_and_no_more(tmp_path: Path) -> None:
    with Publisher(f"ipc://{tmp_path / 'e'}", tmp_path / "journal") as publisher:
        say(publisher, 3)
        with web(publisher.endpoint) as server:
            with server.watch() as messages:
                first = next(messages)
            say(publisher, 2)
            missed: list[int] = []
            with server.watch(first.id) as messages:
                while len(missed) < 2:
                    message = next(messages)
                    assert message.kind == "events"
                    missed += [envelope.seq for envelope in message.envelopes]
    assert (first.kind, missed) == ("state", [3, 4])
