"""What edge/PROTOCOL.md shows is so: its JSON is taken, and its program works when it is pasted."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import typing
from pathlib import Path

from daemons import HANGING

from edge.endpoints import request_endpoint
from edge.events import SpeechStarted, decode, topic
from edge.protocol import Request, decode_request
from edge.publisher import Publisher

PAGE = (Path(__file__).parents[1] / "edge" / "PROTOCOL.md").read_text(encoding="utf-8")
ENDPOINTS = {"tcp://127.0.0.1:7707", "tcp://127.0.0.1:7708"}


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


def test_the_program_gets_each_event_once_over_a_restart_of_the_daemon(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path / 'events'}"
    program = block("python")
    for shown, ours in zip(sorted(ENDPOINTS), (endpoint, request_endpoint(endpoint)), strict=True):
        assert shown in program
        program = program.replace(shown, ours)
    count = 3_000  # three pages of a replay, where all are asked for

    def say(publisher: Publisher) -> None:
        for sample in range(count):
            publisher.publish("mic", SpeechStarted(sample), sample)

    command = [sys.executable, "-u", "-c", program]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        with Publisher(endpoint, tmp_path / "journal") as publisher:
            assert publisher.wait_for_subscriber(HANGING)
            say(publisher)
            first = [process.stdout.readline() for _ in range(count)]
        with Publisher(endpoint, tmp_path / "journal") as publisher:
            say(publisher)
            second = [process.stdout.readline() for _ in range(count)]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert [int(line.split()[0]) for line in first + second] == list(range(2 * count))
    assert "'type': 'speech.started'" in first[0]
