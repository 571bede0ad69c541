"""The protocol is enough for another language: a subscriber in C that knows nothing of our code."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from daemons import HANGING

from edge.endpoints import request_endpoint
from edge.events import SpeechStarted
from edge.publisher import Publisher

SOURCE = Path(__file__).parent / "foreign" / "subscriber.c"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None or not Path("/usr/include/zmq.h").exists():
        pytest.skip("needs gcc and libzmq3-dev: 'scripts/system.sh need test' installs them")
    binary = tmp_path_factory.mktemp("c") / "subscriber"
    command = ["gcc", "-O1", "-Wall", "-Wextra", "-Werror", str(SOURCE), "-o", str(binary), "-lzmq"]
    subprocess.run(command, check=True, timeout=HANGING)
    return binary


def test_a_subscriber_in_c_gets_what_was_before_and_what_comes(
    program: Path, tmp_path: Path
) -> None:
    before, after = 2_500, 500  # several pages of a replay, and live ones
    with Publisher("tcp://127.0.0.1:*", tmp_path) as publisher:
        for sample in range(before):
            publisher.publish("a", SpeechStarted(sample), sample)
        command = [str(program), publisher.endpoint, request_endpoint(publisher.endpoint)]
        process = subprocess.Popen(
            [*command, "100", str(before + after - 100)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert publisher.wait_for_subscriber(HANGING)
            for sample in range(after):
                publisher.publish("a", SpeechStarted(sample), sample)
            output, _ = process.communicate(timeout=HANGING)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 0
    assert [int(line) for line in output.split()] == list(range(100, before + after))
