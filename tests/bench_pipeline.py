"""What the runtime costs: CPU, memory, start-up, and whether any of it grows with time.

    pytest tests/bench_pipeline.py --benchmark-only

The figures stand in a table at the end, next to the aims, and in `extra_info` of the JSON.
"""

from __future__ import annotations

import multiprocessing
import re
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import Note
from costs import hear, resident_bytes
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from edge.audio import read_audio
from edge.client import Subscriber
from edge.encoder import Model
from edge.pipeline import Pipeline, PipelineConfig

RATE = 16_000
MINUTE = 60 * RATE
BLOCK = RATE // 10
HOP = RATE // 5  # one run of the encoder
CONVERSATION = Path(__file__).parents[1] / "edge" / "assets" / "conversation.flac"
MEGABYTE = 1e6

# `earmark` in a process that then tells its peak. What the parent learns of its children's memory
# (ru_maxrss) would include the parent's own at the moment of the fork.
EARMARK = """\
import sys
from edge.cli import main
status = main(sys.argv[1:])
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")))
sys.exit(status)
"""

# One group, in which the ratios mean nothing: the rivals are the aims in the table.
pytestmark = pytest.mark.benchmark(group="pipeline")


def one_minute() -> NDArray[np.float32]:
    """The first minute of the bundled conversation: four voices, pauses as people make them."""
    return read_audio(CONVERSATION)[:MINUTE]


def fresh_pipeline() -> Pipeline:
    return Pipeline(Model.load(), [], PipelineConfig())


@pytest.mark.benchmark(group="pipeline", timer=time.process_time)
def test_cpu_of_an_hour(benchmark: BenchmarkFixture, note: Note) -> None:
    """All threads of the process count. The best round: other load on the machine only adds."""
    minutes = 10
    samples = np.tile(one_minute(), minutes)
    model = Model.load()

    def run() -> None:
        hear(Pipeline(model, [], PipelineConfig()), samples, BLOCK)

    benchmark.pedantic(run, rounds=3, warmup_rounds=0)
    note("CPU of an hour of audio, one core", benchmark.stats["min"] * 60 / minutes, "s", 36)


def test_an_hour_costs_no_more_at_its_end(benchmark: BenchmarkFixture, note: Note) -> None:
    """Every minute is the same audio, so that only the time passed can make a difference."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as child:
        first, last, growth, speakers = benchmark.pedantic(
            lambda: child.submit(hear_an_hour).result(), rounds=1
        )
    note("median hop of 200 ms, minute 1", first * 1e3, "ms CPU", None)
    note("median hop of 200 ms, minute 60", last * 1e3, "ms CPU", None)
    note("minute 60 : minute 1", last / first, "times", 1.1)
    note("growth of RSS, minute 2 to 60", growth / MEGABYTE, "MB", 2)
    note("speakers known after an hour", speakers, "", None)


def hear_an_hour() -> tuple[float, float, int, int]:
    """Median CPU seconds of a hop in minutes 1 and 60, growth of RSS in bytes, speakers known."""
    minute = one_minute()
    pipeline = fresh_pipeline()
    hear(fresh_pipeline(), minute[: 10 * RATE], HOP)  # caches and lazy imports are not growth
    first = hear(pipeline, minute, HOP)
    hear(pipeline, minute, HOP)
    resident = resident_bytes()
    for _ in range(57):
        hear(pipeline, minute, HOP)
    last = hear(pipeline, minute, HOP)
    growth = resident_bytes() - resident
    return float(np.median(first)), float(np.median(last)), growth, pipeline.speakers


def test_three_hours_of_twenty_voices_cost_no_more_at_their_end(
    benchmark: BenchmarkFixture, note: Note, corpus: Path, tmp_path: Path
) -> None:
    from train.manifest import read_manifest  # here: with torch, which is no part of the child's
    from train.simulate import simulate_meeting

    voices, seconds = read_manifest(corpus / "dev.csv"), 3 * 3600.0
    path = tmp_path / "meeting.f32"
    with path.open("wb") as file:
        for block in simulate_meeting(voices, corpus, 20, seconds, seed=6).blocks():
            file.write(block.tobytes())
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as child:
        minutes, growth, speakers = benchmark.pedantic(
            lambda: child.submit(hear_by_minutes, path).result(), rounds=1
        )
    hours = np.split(np.array(minutes), 3)
    note("three hours of 20 voices: CPU of an hour", sum(minutes) / 3, "s", 36)
    note("their third hour : their first", hours[2].sum() / hours[0].sum(), "times", 1.1)
    note("growth of RSS, minute 10 to their end", growth / MEGABYTE, "MB", 2)
    note("speakers known then", speakers, "", None)


def hear_by_minutes(path: Path) -> tuple[list[float], int, int]:
    """CPU seconds of each minute of a file of float32 samples, growth of RSS, speakers known."""
    pipeline, minutes, resident = fresh_pipeline(), list[float](), 0
    with path.open("rb") as file:
        while data := file.read(4 * MINUTE):
            if len(minutes) == 10:
                resident = resident_bytes()
            minutes.append(sum(hear(pipeline, np.frombuffer(data, dtype=np.float32), HOP)))
    return minutes, resident_bytes() - resident, pipeline.speakers


def test_memory_of_the_daemon(benchmark: BenchmarkFixture, note: Note, tmp_path: Path) -> None:
    options = ["run", "--wav", str(CONVERSATION), "--fast", "--endpoint", f"ipc://{tmp_path}/e"]
    options += ["--store", str(tmp_path / "store")]

    def run() -> str:
        command = [sys.executable, "-c", EARMARK, *options]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    peak = re.search(r"VmHWM:\s*(\d+) kB", benchmark.pedantic(run, rounds=1))
    assert peak is not None
    note("peak RSS of 'earmark run'", int(peak[1]) * 1024 / MEGABYTE, "MB", 150)


def test_start_of_help(benchmark: BenchmarkFixture, note: Note) -> None:
    def run() -> None:
        command = [sys.executable, "-m", "edge.cli", "--help"]
        subprocess.run(command, check=True, capture_output=True)

    benchmark.pedantic(run, rounds=7, warmup_rounds=1)
    note("'earmark --help'", benchmark.stats["median"], "s", 1)


def test_start_of_the_daemon(benchmark: BenchmarkFixture, note: Note, tmp_path: Path) -> None:
    """From the start of the process to the first event in a subscriber's hands."""
    numbers = iter(range(100))

    def run() -> None:
        endpoint = f"ipc://{tmp_path}/{next(numbers)}"
        options = ["run", "--wav", str(CONVERSATION), "--endpoint", endpoint, "--wait-subscriber"]
        options += ["--store", str(tmp_path / "store")]
        with (
            Subscriber(endpoint) as events,
            subprocess.Popen(
                [sys.executable, "-m", "edge.cli", *options], stderr=subprocess.DEVNULL
            ) as daemon,
        ):
            first = events.receive(30)
            daemon.kill()
        assert first is not None, "no event came"

    benchmark.pedantic(run, rounds=7, warmup_rounds=1)
    note("start of 'earmark run' to its first event", benchmark.stats["median"], "s", 1)
