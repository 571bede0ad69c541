"""What only shows with time: memory, lag, and counters past 2^32.

    python tests/soak.py --hours 168 --minutes 60    # a table; exit status 1 if an aim is missed

The hours go through the pure core as fast as they will; the minutes are live, from a virtual
microphone through the daemon to a subscriber.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import soundfile
import soxr
from costs import hear, resident_bytes
from microphone_faults import await_event, microphone_daemon
from numpy.typing import NDArray
from vmic import VirtualMicrophone, require
from voices import RATE, conversation, pipeline

from edge.client import Subscriber
from edge.events import Health, Segment, SourceOpened, SourceOverflow
from edge.pipeline import Pipeline
from edge.tracker_config import HorizonConfig

BLOCK = RATE // 10
MINUTE = 60 * RATE
WARM_MINUTES = 10  # of the core; until the horizon and all caches are full
YOUNG_MINUTES = 8  # heard by a new pipeline, and then by both
WARM_SHARE = 0.2  # of the live minutes
GROWTH = 0.02  # of the resident memory, at most


class Table:
    """Figures with their aims, printed as they come."""

    def __init__(self) -> None:
        self.missed = 0
        print(f"{'':52} {'measured':>12}  {'aim':>8}")

    def row(self, what: str, value: float, unit: str = "", most: float | None = None) -> None:
        bad = most is not None and not value <= most
        self.missed += bad
        aim = "" if most is None else f"<= {most:g}"
        print(f"{what:52} {value:12.6g}  {aim:>8}  {unit}{'  MISSED' if bad else ''}", flush=True)


def soak_core(hours: float, table: Table) -> None:
    """The bundled conversation in a loop, over 2^31 and then over 2^32."""
    minutes = max(round(60 * hours), 2 * WARM_MINUTES)
    stream = pipeline()
    stream.skip(2**31 - WARM_MINUTES * MINUTE // 2, SourceOverflow)
    open_segments: set[int] = set()
    finals = 0
    resident = 0
    began = time.monotonic()
    audio = conversation()[:MINUTE]
    for minute in range(minutes):
        if minute == WARM_MINUTES:
            resident = resident_bytes()
            rest = minutes - WARM_MINUTES
            ahead = 2**32 - rest * MINUTE // 2 - stream.position
            if ahead > 0:  # days of sound come past 2^32 by themselves
                stream.skip(ahead, SourceOverflow)
        for start in range(0, MINUTE, BLOCK):
            position = stream.position
            for event in stream.push(audio[start : start + BLOCK]):
                if isinstance(event, Segment):
                    assert (
                        2**31 - WARM_MINUTES * MINUTE < event.start < event.end <= position + BLOCK
                    )
                    open_segments.add(event.id)
                    if event.state == "final":
                        finals += 1
                        open_segments.remove(event.id)
    growth = resident_bytes() / resident - 1
    seconds = time.monotonic() - began
    ratio = cost_beside_a_young_one(stream, audio)
    heard = finals + sum(isinstance(event, Segment) for event in stream.flush())
    assert stream.position > 2**32
    table.row("core: audio heard", minutes / 60, "hours")
    table.row("core: times faster than real time", minutes * 60 / seconds)
    table.row("core: growth of RSS after warm-up", 100 * growth, "%", 100 * GROWTH)
    table.row("core: CPU of a minute beside one that has just begun", ratio, "times", 1.1)
    table.row("core: segments that became final", heard)
    most = HorizonConfig().stretches
    table.row("core: segments still open when the horizon is full", len(open_segments), "", most)
    table.row("core: speakers known at the end", stream.speakers)


def cost_beside_a_young_one(old: Pipeline, minute: NDArray[np.float32]) -> float:
    """CPU of a minute over that of a pipeline minutes old, in turns: others use the machine too."""
    young = pipeline()
    for _ in range(YOUNG_MINUTES):
        hear(young, minute, BLOCK)
    ratios = [
        sum(hear(old, minute, BLOCK)) / sum(hear(young, minute, BLOCK))
        for _ in range(YOUNG_MINUTES)
    ]
    return float(np.median(ratios))


def soak_daemon(minutes: float, table: Table) -> None:
    """The same conversation, played into a virtual microphone."""
    require()
    beats: list[Health] = []
    with tempfile.TemporaryDirectory() as name, VirtualMicrophone() as microphone:
        folder, endpoint = Path(name), f"ipc://{name}/events"
        speech = soxr.resample(conversation(), RATE, 48_000)
        soundfile.write(folder / "speech.wav", speech, 48_000, subtype="PCM_16")
        with microphone_daemon(microphone, endpoint, folder), Subscriber(endpoint) as events:
            await_event(events, SourceOpened)
            end = time.monotonic() + 60 * minutes
            player = threading.Thread(
                target=lambda: play_until(microphone, folder / "speech.wav", end)
            )
            player.start()
            while time.monotonic() < end:
                beats.append(await_health(events))
            player.join()
            missed = events.missed
    warm = beats[round(WARM_SHARE * len(beats)) :]
    growth = max(beat.rss for beat in warm) / warm[0].rss - 1
    lags = [beat.lag for beat in beats]
    table.row("live: audio heard", beats[-1].sample / MINUTE, "minutes")
    table.row("live: growth of RSS after warm-up", 100 * growth, "%", 100 * GROWTH)
    table.row("live: RSS", warm[-1].rss / 1e6, "MB")
    table.row("live: longest lag, median of heartbeats", float(np.median(lags)), "s", 0.5)
    table.row("live: longest lag of all", max(lags), "s")
    table.row("live: events missed", missed or 0, "", 0)
    table.row("live: samples overflowed", beats[-1].overflowed, "", 0)
    table.row("live: samples missing by the clock", beats[-1].missing, "", 0)
    table.row("live: drift of the microphone's clock", beats[-1].drift or float("nan"), "ppm")
    table.row("live: share of one core", beats[-1].cpu / (beats[-1].sample / RATE) * 100, "%")


def play_until(microphone: VirtualMicrophone, path: Path, end: float) -> None:
    while time.monotonic() < end:
        microphone.play(path)


def await_health(events: Subscriber) -> Health:
    health = await_event(events, Health).event
    assert isinstance(health, Health)
    return health


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=168, help="of audio through the core")
    parser.add_argument("--minutes", type=float, default=60, help="live through the daemon")
    args = parser.parse_args()
    table = Table()
    if args.hours:
        soak_core(args.hours, table)
    if args.minutes:
        soak_daemon(args.minutes, table)
    return 1 if table.missed else 0


if __name__ == "__main__":
    sys.exit(main())
