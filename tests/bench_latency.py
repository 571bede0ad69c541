"""From a sample that enters the daemon to its event in a subscriber's hands, with several streams.

    pytest tests/bench_latency.py --benchmark-only

Streams are pipes fed in real time, 20 ms at once; an event is held against the moment at which the
last sample that it needed was written. What a microphone adds is the time to its callback (25 ms
of PortAudio's buffer and the sound server's own) and at most 20 ms until the capture looks.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import Note
from pytest_benchmark.fixture import BenchmarkFixture
from voices import RATE, conversation

from edge.client import Subscriber
from edge.events import Health, SourceLost, SourceOpened

BLOCK = RATE // 50
SECONDS = 30

pytestmark = pytest.mark.benchmark(group="latency")


@pytest.mark.parametrize("count", [1, 4, 16])
def test_latency(benchmark: BenchmarkFixture, note: Note, tmp_path: Path, count: int) -> None:
    delays, cpu = benchmark.pedantic(lambda: latencies(tmp_path, count), rounds=1)
    median, high = np.percentile(delays, [50, 99])
    note(f"latency, {count} streams, median of {len(delays)} events", median * 1e3, "ms", None)
    note(f"latency, {count} streams, 99th percentile", high * 1e3, "ms", 1000)
    note(f"{count} streams, one core", 100 * cpu / SECONDS, "%", None)


def latencies(folder: Path, count: int) -> tuple[list[float], float]:
    """Seconds from sample to subscriber of every event of `count` streams, and seconds of CPU."""
    endpoint = f"ipc://{folder / 'events'}"
    pipes = [os.pipe() for _ in range(count)]
    ends = [read for read, _ in pipes]
    script = str(Path(__file__).with_name("pipe_daemon.py"))
    command = [sys.executable, script, endpoint, *map(str, ends)]
    delays: list[float] = []
    with Subscriber(endpoint) as events, subprocess.Popen(command, pass_fds=ends) as daemon:
        for read in ends:
            os.close(read)
        for _ in range(count):
            opened = events.receive(60)
            assert opened is not None and isinstance(opened.event, SourceOpened)
        cpu = processor_seconds(daemon.pid)
        began = time.monotonic()
        writer = threading.Thread(target=write, args=[[write for _, write in pipes], began])
        writer.start()
        left, used = count, 0.0
        while left:
            envelope = events.receive(60)
            assert envelope is not None
            now = time.monotonic()
            if isinstance(envelope.event, SourceLost):
                left -= 1
                used = processor_seconds(daemon.pid) - cpu
            elif not isinstance(envelope.event, Health) and envelope.sample < SECONDS * RATE:
                block = -(-envelope.sample // BLOCK)
                delays.append(now - began - block * BLOCK / RATE)
        writer.join()
        assert daemon.wait(60) == 0
    return delays, used


def processor_seconds(pid: int) -> float:
    """What a process has used so far, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def write(pipes: list[int], began: float) -> None:
    """Feed every pipe from another place of the conversation, as a microphone would."""
    pcm = (np.clip(conversation(), -1, 1) * 32767).astype("<i2")
    blocks = len(pcm) // BLOCK
    for k in range(SECONDS * RATE // BLOCK):
        time.sleep(max(0.0, began + (k + 1) * BLOCK / RATE - time.monotonic()))
        for number, pipe in enumerate(pipes):
            start = (k + number * blocks // len(pipes)) % blocks * BLOCK
            os.write(pipe, pcm[start : start + BLOCK].tobytes())
    for pipe in pipes:
        with contextlib.suppress(OSError):
            os.close(pipe)
