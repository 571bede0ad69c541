"""Any rate to the one that the front end takes, as a stream."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from edge.front_end import SAMPLE_RATE


class Resampler:
    """Streaming soxr resampler (high quality, linear phase) of one channel to 16 kHz.

    However the input is cut into blocks, the concatenated output has the same bits as soxr's
    one-shot result. It is aligned with the input: the filter's delay is not in the samples, it only
    makes them come later (37 ms from 48 kHz, a quarter of a second from 4 kHz). What comes at
    16 kHz passes through untouched.

    Args:
        source_rate: Hz.
    """

    def __init__(self, source_rate: int) -> None:
        self._stream = (
            None
            if source_rate == SAMPLE_RATE
            else soxr.ResampleStream(source_rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
        )

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next samples, float32 of shape (n,); any n.

        Returns:
            The samples now complete at 16 kHz, float32 of shape (m,), m may be 0.

        Raises:
            TypeError: another dtype.
        """
        if self._stream is None:
            return samples
        resampled: NDArray[np.float32] = self._stream.resample_chunk(samples)
        return resampled

    def flush(self) -> NDArray[np.float32]:
        """The samples still due at the end of the stream; then ready for another stream."""
        rest = np.zeros(0, np.float32)
        if self._stream is not None:
            rest = self._stream.resample_chunk(rest, last=True)
            self._stream.clear()  # soxr takes nothing more after its last chunk
        return rest
