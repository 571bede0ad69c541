"""Risk: positions wrap at an integer limit, or lost audio goes unnoticed."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge._native import Ring

EXACT = 1 << 24  # float32 counts exactly to here


def samples_at(position: int, count: int) -> np.ndarray:
    """Samples that tell their positions."""
    return (np.arange(position, position + count) % EXACT).astype(np.float32)


@pytest.mark.parametrize("start", [0, 2**31 - 500, 2**32 - 500, 2**53 - 500, 2**62])
def test_positions_count_on_past_integer_limits(start: int) -> None:
    ring = Ring(capacity=300, start=start)
    for position in range(start, start + 1000, 100):
        ring.write(samples_at(position, 100))
        first, samples, lost = ring.read(1000)
        assert (first, lost) == (position, 0)
        np.testing.assert_array_equal(samples, samples_at(position, 100))
    assert ring.written == ring.consumed == start + 1000
    assert ring.dropped == ring.available == 0


@given(
    capacity=st.integers(1, 50),
    start=st.integers(0, 2**40),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 120)), max_size=60),
)
def test_every_position_is_read_or_reported_lost(
    capacity: int, start: int, steps: list[tuple[bool, int]]
) -> None:
    ring = Ring(capacity, start)
    written = consumed = start
    dropped = 0
    for is_write, count in steps:
        if is_write:
            ring.write(samples_at(written, count))
            written += count
        else:
            first, samples, lost = ring.read(count)
            assert lost == max(written - capacity - consumed, 0)
            assert first == consumed + lost
            assert len(samples) == min(count, written - first)
            np.testing.assert_array_equal(samples, samples_at(first, len(samples)))
            consumed = first + len(samples)
            dropped += lost
        assert (ring.written, ring.consumed, ring.dropped) == (written, consumed, dropped)
        assert ring.available == min(written - consumed, capacity)


def test_a_slow_reader_loses_whole_spans_and_knows_them() -> None:
    total = 2**20
    start = 2**32 - total // 2
    ring = Ring(capacity=1000, start=start)

    def write_all() -> None:
        for position in range(start, start + total, 256):
            ring.write(samples_at(position, 256))

    writer = threading.Thread(target=write_all)
    writer.start()
    received = lost_total = 0
    while writer.is_alive() or ring.consumed < ring.written:
        expected = ring.consumed
        first, samples, lost = ring.read(333)
        assert first == expected + lost
        np.testing.assert_array_equal(samples, samples_at(first, len(samples)))
        received += len(samples)
        lost_total += lost
    writer.join()
    assert received + lost_total == total
    assert lost_total == ring.dropped


@pytest.mark.parametrize(
    ("block", "error", "actual"),
    [
        ([1.0], TypeError, "list"),
        (np.zeros(4), TypeError, "float64"),
        (np.zeros(4, np.int16), TypeError, "int16"),
        (np.zeros((4, 2), np.float32), ValueError, r"\(4, 2\)"),
        (np.zeros(8, np.float32)[::2], ValueError, r"strides \(8,\)"),
    ],
)
def test_errors_name_expected_and_actual(
    block: object, error: type[Exception], actual: str
) -> None:
    with pytest.raises(error, match=f"expected a contiguous 1-D numpy float32 array.*{actual}"):
        Ring(10).write(block)  # type: ignore[arg-type]


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="capacity: expected 1 or more samples, got 0"):
        Ring(0)
    for start in (-1, 2**62 + 1, 2**63 - 1):  # int64 would end within what is written
        with pytest.raises(ValueError, match=f"start: expected position 0 to {2**62}, got {start}"):
            Ring(10, start=start)
    with pytest.raises(ValueError, match="max_samples: expected 0 or more, got -1"):
        Ring(10).read(-1)
