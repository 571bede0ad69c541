"""A daemon that hears raw PCM on several pipes: `python tests/pipe_daemon.py ENDPOINT FD...`.

Its streams are named by the descriptors. It stands in for more microphones than there are servers
for: everything behind the source is the daemon's own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from edge.daemon import Stream, serve
from edge.encoder import Model
from edge.pipeline import Pipeline, PipelineConfig
from edge.publisher import Publisher
from edge.signals import stop_on_signals
from edge.sources.pipe import PipeSource


def main(endpoint: str, descriptors: list[int]) -> None:
    stop = stop_on_signals()
    with TemporaryDirectory() as folder, Publisher(endpoint, Path(folder)) as publisher:
        model = Model.load()
        streams = [
            Stream(
                str(fd),
                lambda fd=fd: PipeSource(os.fdopen(fd, "rb", buffering=0)),  # type: ignore[misc]
                Pipeline(model, [], PipelineConfig()),
            )
            for fd in descriptors
        ]
        while not publisher.wait_for_subscriber(0.1) and not stop.asked:
            pass
        serve(streams, publisher, stop)


if __name__ == "__main__":
    main(sys.argv[1], [int(word) for word in sys.argv[2:]])
