"""What one look of `identify` costs among 10, 1,000 and 100,000 enrolled: CPU time, all threads.

pytest tests/bench_identify.py --benchmark-only
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from voices import ada, model

from edge.gallery import Gallery
from edge.scoring import OperatingPoint
from edge.statistics import Profile
from edge.verification import identify

DISTINCT = 1000  # voices; the cost is the same when they come again


def crowd(count: int) -> Gallery:
    """Ada, and voices made of hers."""
    random = np.random.default_rng(1)
    own = ada().statistics
    others = own * random.uniform(0.5, 1.5, (DISTINCT, len(own)))
    return Gallery(
        model(),
        [ada(), *(Profile(f"voice{i}", others[i % DISTINCT]) for i in range(count - 1))],
    )


@pytest.mark.benchmark(group="identify", timer=time.process_time)
@pytest.mark.parametrize("count", [10, 1_000, 100_000])
def test_one_look(benchmark: BenchmarkFixture, count: int) -> None:
    gallery, point = crowd(count), OperatingPoint()
    found = benchmark.pedantic(
        lambda: identify(model(), gallery, ada().statistics, point),
        rounds=50,
        iterations=5,
        warmup_rounds=3,
    )
    assert found.best == "ada"
