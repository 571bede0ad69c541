"""A process that publishes events at a high rate: `storm.py ENDPOINT JOURNAL RATE COUNT`.

Then it answers questions until its standard input ends.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from edge.events import SpeechStarted
from edge.publisher import Publisher


def main() -> None:
    endpoint, journal, rate, count = sys.argv[1:]
    with Publisher(endpoint, Path(journal)) as publisher:
        print(publisher.endpoint, flush=True)
        sys.stdin.readline()
        begin = time.monotonic()
        for sent in range(int(count)):
            publisher.publish("storm", SpeechStarted(sent), sent)
            if sent % 50 == 0:
                time.sleep(max(0.0, begin + sent / float(rate) - time.monotonic()))
        print(f"{int(count) / (time.monotonic() - begin):.0f} events a second", flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main()
