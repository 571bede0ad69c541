"""A daemon process with a pipeline and a source so small that its events can be foretold.

`python tests/tiny_daemon.py ENDPOINT [options]`; the pipeline says
`speech.started` at every second.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.daemon import Stream, serve
from edge.errors import EarmarkError
from edge.events import Event, SourceGap, SourceOverflow, SpeechStarted, SpeechStopped
from edge.publisher import Publisher
from edge.signals import stop_on_signals
from edge.sources import Block, Source

SECOND = 16_000


class TinyPipeline:
    """Follows the protocol of `edge.pipeline.Pipeline`."""

    speakers = 3
    shedding = 0

    def __init__(self) -> None:
        self.position = 0

    def push(self, samples: NDArray[np.float32]) -> list[Event]:
        first = -(-self.position // SECOND)
        self.position += len(samples)
        return [SpeechStarted(s * SECOND) for s in range(first, -(-self.position // SECOND))]

    def skip(self, count: int, cause: type[SourceGap | SourceOverflow]) -> list[Event]:
        start, self.position = self.position, self.position + count
        return [cause(start, self.position)]

    def flush(self) -> list[Event]:
        return [SpeechStopped(self.position)]


class ScriptedSource(Source):
    """`blocks` blocks of 100 ms; then it ends, fails, or says nothing until it is closed."""

    name = "script"
    channels = 1

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self.rate = args.rate
        self._closed = False

    def blocks(self) -> Iterator[Block]:
        for index in range(self._args.blocks):
            time.sleep(self._args.pace)
            if self._closed:
                return
            lost = self._args.lost if index == self._args.lost_before else 0
            yield Block(np.zeros(self.rate // 10, dtype=np.float32), lost)
        if self._args.then == "fail":
            raise EarmarkError("the cable is cut", "Mend it")
        while self._args.then == "silence" and not self._closed:
            time.sleep(0.01)

    def close(self) -> None:
        self._closed = True


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("endpoint")
    parser.add_argument("--blocks", type=int, default=25)
    parser.add_argument("--pace", type=float, default=0.0)
    parser.add_argument("--rate", type=int, default=SECOND)
    parser.add_argument("--lost", type=int, default=0)
    parser.add_argument("--lost-before", type=int, default=10)
    parser.add_argument("--then", choices=["end", "fail", "silence"], default="end")
    parser.add_argument("--health", type=float, default=3600.0)
    parser.add_argument("--alone", action="store_true", help="do not wait for a subscriber")
    parser.add_argument("--journal", type=Path)
    args = parser.parse_args()
    stop = stop_on_signals()
    with ExitStack() as stack:
        folder = args.journal or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        publisher = stack.enter_context(Publisher(args.endpoint, folder))
        while not (args.alone or publisher.wait_for_subscriber(0.1) or stop.asked):
            pass
        try:
            tiny = Stream("tiny", lambda: ScriptedSource(args), TinyPipeline())
            serve([tiny], publisher, stop, health_seconds=lambda: args.health)
        except EarmarkError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
