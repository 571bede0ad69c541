"""A subscriber process that writes each event to a file: `recorder.py ENDPOINT FILE`.

Started again, it goes on behind the last whole line there: nothing else is remembered.
"""

from __future__ import annotations

import os
import sys

from edge.client import Bookmark, Subscriber
from edge.events import decode, encode


def main() -> None:
    endpoint, path = sys.argv[1:]
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    size = os.fstat(file).st_size
    tail = os.pread(file, 1 << 16, max(0, size - (1 << 16)))
    whole = tail.rfind(b"\n") + 1
    os.truncate(file, size - len(tail) + whole)
    last = tail[:whole].splitlines()[-1:]
    bookmark = Bookmark.behind(decode(last[0])) if last else None
    with Subscriber(endpoint, bookmark=bookmark) as events:
        events.join()
        print("joined", flush=True)
        for envelope in events:
            os.write(file, encode(envelope) + b"\n")


if __name__ == "__main__":
    main()
