"""A subscriber that joins late gets all that follows, without a hole in `seq`."""

from __future__ import annotations

import signal
from pathlib import Path

from daemons import HANGING, next_event, tiny_daemon, until_end

from edge.client import Subscriber


def test_who_joins_late_follows_without_a_hole(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path / 'events'}"
    options = ["--blocks", "1000000", "--pace", "0.002"]
    with tiny_daemon(endpoint, *options) as process, Subscriber(endpoint) as early:
        before = [next_event(early) for _ in range(5)]
        with Subscriber(endpoint) as late:
            after = [next_event(late) for _ in range(5)]
            process.send_signal(signal.SIGTERM)
            after += until_end(late)
            assert late.missed == 0
        before += until_end(early)
        assert early.missed == 0
        assert process.wait(HANGING) == 0
    assert after[0].seq > 0
    assert [e.seq for e in before] == list(range(len(before)))
    assert after == before[after[0].seq :]
