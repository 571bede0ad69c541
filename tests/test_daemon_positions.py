"""From the source's samples to positions at 16 kHz: exact, whatever the rate and the losses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_daemon import TinyPipeline

from edge.events import SourceOverflow, SpeechStarted
from edge.feed import Feed
from edge.sources import Block


@settings(max_examples=60, deadline=None)
@given(
    rate=st.sampled_from([8_000, 16_000, 22_050, 44_100, 48_000, 96_000]),
    blocks=st.lists(
        st.tuples(st.integers(0, 3_000), st.sampled_from([0, 0, 0, 1, 7, 4_801])), max_size=30
    ),
)
def test_positions_never_drift(rate: int, blocks: list[tuple[int, int]]) -> None:
    pipeline = TinyPipeline()
    feed = Feed(pipeline, rate)
    events = []
    for size, lost in blocks:
        events += feed.push(Block(np.zeros(size, dtype=np.float32), lost))
    events += feed.flush()
    total = sum(size + lost for size, lost in blocks)
    assert abs(pipeline.position - total * 16_000 / rate) <= 1.5
    gaps = [e for e in events if isinstance(e, SourceOverflow)]
    assert all(gap.start < gap.end for gap in gaps)
    # Every second that lies in no gap is heard once and in order.
    seconds = [e.sample for e in events if isinstance(e, SpeechStarted)]
    assert seconds == [
        s
        for s in range(0, pipeline.position, 16_000)
        if not any(gap.start <= s < gap.end for gap in gaps)
    ]


@pytest.mark.parametrize(
    ("rate", "size", "lost_each"), [(48_000, 480, 1), (48_000, 480, 2), (96_000, 327, 1)]
)
def test_a_thousand_tiny_losses_add_up_to_what_was_lost(
    rate: int, size: int, lost_each: int
) -> None:
    """At 48 kHz one lost sample is a third of one at 16 kHz: none of them may be forgotten. Nor may
    what is rounded up before each.
    """
    pipeline = TinyPipeline()
    feed = Feed(pipeline, rate)
    for _ in range(1_000):
        feed.push(Block(np.zeros(size, dtype=np.float32), lost_each))
    feed.flush()
    assert abs(pipeline.position - (size + lost_each) * 1_000 * 16_000 / rate) <= 1
