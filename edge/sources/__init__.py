"""Where audio comes in: files, raw PCM on a pipe, microphones, satellites.

Every source gives blocks of mono float32 at its own rate and says what it lost on the way; the
resampler behind it brings them to 16 kHz. What is wrong with an input is an `EarmarkError`: never
a shorter recording, never a NaN further down.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from edge.errors import EarmarkError

MIN_RATE, MAX_RATE = 4_000, 192_000  # Hz


class Block(NamedTuple):
    """A stretch of audio.

    `samples` is mono float32 of shape (n,), full scale ±1, at the source's rate. Immediately before
    them the source lost audio, in its samples (per channel): first `gap`, which was never captured,
    as told by the clock, then `lost`, which was captured but not fetched in time. `at` is when the
    last sample came in (`edge.clock.now`), where the source cannot wait for its reader.
    """

    samples: NDArray[np.float32]
    lost: int = 0
    gap: int = 0
    at: float | None = None


class Source(Protocol):
    """One input, and a context manager that closes it.

    `rate` (Hz) and `channels` are the input's own; `blocks()` has already mixed it to mono.
    """

    name: str
    rate: int
    channels: int

    @property
    def drift(self) -> float | None:
        """Of the input's clock, ppm; positive where it runs fast; None while unknown."""
        return None

    @property
    def refused(self) -> int:
        """Messages dropped so far that were no audio of the one being heard."""
        return 0

    def blocks(self) -> Iterator[Block]:
        """The audio until the source ends or is closed, in blocks of at most about 100 ms.

        Raises:
            EarmarkError: the input is damaged, or failed.
        """
        ...

    def reopen(self) -> bool:
        """Once `blocks()` failed: wait until the input is back, so that `blocks()` goes on.

        False if it never will be, or when it is closed.
        """
        return False

    def close(self) -> None:
        """End `blocks()` or `reopen()` within about 100 ms.

        Any thread or signal handler may call it, any number of times. So sources only set a plain
        attribute that `blocks()` looks at: a `threading.Event` takes a lock, which the code that
        the signal interrupts may hold already.
        """
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def check_format(name: str, rate: int, channels: int) -> None:
    """Refuse rates (Hz) and channel counts that no recording of a voice has.

    Raises:
        EarmarkError: naming what is expected.
    """
    if not MIN_RATE <= rate <= MAX_RATE:
        raise EarmarkError(
            f"{name}: expected a rate of {MIN_RATE} to {MAX_RATE} Hz, got {rate}",
            "Give the true rate, or resample the recording to 16000 Hz",
        )
    if channels < 1:
        raise EarmarkError(
            f"{name}: expected 1 or more channels, got {channels}", "Give the number of channels"
        )


def to_mono(name: str, frames: NDArray[np.float32], position: int) -> NDArray[np.float32]:
    """Average of the channels: float32 of shape (n,), from `frames` of shape (n, channels).

    Args:
        name: the source, for the error.
        frames: samples, full scale ±1.
        position: of the first frame, in samples since the source began.

    Raises:
        EarmarkError: a sample is NaN or infinite.
    """
    finite = np.isfinite(frames)
    if not finite.all():
        row, channel = np.argwhere(~finite)[0]
        raise EarmarkError(
            f"{name}: expected finite samples, got {frames[row, channel]} at sample "
            f"{position + int(row)} of channel {int(channel) + 1}",
            "Repair the program that wrote this audio",
        )
    if frames.shape[1] == 1:
        return frames[:, 0]
    # The sum of finite samples may be beyond float32; their mean never is.
    mono: NDArray[np.float64] = frames.mean(axis=1, dtype=np.float64)
    return mono.astype(np.float32)
