"""What edge/PROTOCOL.md shows is so: its JSON is taken, and its program works when it is pasted."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from daemons import HANGING

from edge.endpoints import request_endpoint
from edge.events import Segment, SpeechStarted, Verdict, decode, topic
from edge.protocol import Request, decode_request
from edge.publisher import Publisher

PAGE = (Path(__file__).parents[1] / "edge" / "PROTOCOL.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"(?s)```{language}\n(.*?)```", PAGE)
    assert found
    return found[1]


def test_the_requests_are_taken_and_none_is_left_out() -> None:
    shown = re.findall(r'(?m)^\| `(\{"v":1,.*?\})` \|', PAGE)
    taken = {type(decode_request(request.encode())) for request in shown}
    assert taken == set(typing.get_args(Request))


def test_the_event_is_one() -> None:
    envelope = decode(json.dumps(json.loads(block("json"))).encode())
    assert topic(envelope) == b"mic/segment"


def in_messagepack(program: str) -> str:
    """The program with the lines that the page says are different."""
    lines = block("diff").splitlines()
    for old, new in zip(lines[::2], lines[1::2], strict=True):
        assert (old[0], new[0]) == ("-", "+")
        assert f"{old[1:]}\n" in program
        program = program.replace(f"{old[1:]}\n", f"{new[1:]}\n")
    return program


@contextmanager
def running(program: str, places: dict[str, str]) -> Iterator[typing.IO[str]]:
    """What a program prints that finds the daemon's sockets at other places than the page's."""
    for shown, ours in places.items():
        assert shown in program
        program = program.replace(shown, ours)
    command = [sys.executable, "-u", "-c", program]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_programs_get_each_event_once_over_a_restart_of_the_daemon(tmp_path: Path) -> None:
    """The one of JSON and the one of MessagePack, beside each other."""
    endpoint, packed = (f"ipc://{tmp_path / name}" for name in ("events", "packed"))
    requests = {"tcp://127.0.0.1:7708": request_endpoint(endpoint)}
    program = block("python")
    count = 3_000  # three pages of a replay, where all are asked for

    def say(publisher: Publisher) -> None:
        for sample in range(0, count, 3):
            publisher.publish("mic", SpeechStarted(sample), sample)
            segment = Segment(sample, 0, "final", "Zo\xeb", 0, 1 << 40, 2.0, "ben", 0.1)
            publisher.publish("mic", segment, sample)
            publisher.publish("mic", Verdict(sample, 3, "ada", "not yet", -1 / 3, 1.0), sample)

    with ExitStack() as stack:
        texts = running(program, requests | {"tcp://127.0.0.1:7707": endpoint})
        packs = running(in_messagepack(program), requests | {"tcp://127.0.0.1:7709": packed})
        printed: list[list[str]] = [[], []]
        with Publisher(endpoint, tmp_path / "journal", msgpack=packed) as publisher:
            outputs = []
            for subscriber in (texts, packs):
                outputs.append(stack.enter_context(subscriber))
                assert publisher.wait_for_subscriber(HANGING)
            say(publisher)
            for lines, output in zip(printed, outputs, strict=True):
                lines += [output.readline() for _ in range(count)]
        with Publisher(endpoint, tmp_path / "journal", msgpack=packed) as publisher:
            say(publisher)
            for lines, output in zip(printed, outputs, strict=True):
                lines += [output.readline() for _ in range(count)]
    assert [int(line.split()[0]) for line in printed[0]] == list(range(2 * count))
    assert "'type': 'speech.started'" in printed[0][0]
    assert printed[1] == printed[0]
