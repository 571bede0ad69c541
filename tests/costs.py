"""What a pipeline costs: CPU of each block, and resident memory."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.pipeline import Pipeline


def hear(pipeline: Pipeline, samples: NDArray[np.float32], size: int) -> list[float]:
    """Push samples in blocks of a size; CPU seconds of this thread for each."""
    costs = []
    for start in range(0, len(samples), size):
        begin = time.thread_time()
        pipeline.push(samples[start : start + size])
        costs.append(time.thread_time() - begin)
    return costs


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
