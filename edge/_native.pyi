"""Earmark's C++ core: sample ring and streaming filterbank."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

class Ring:
    """Lock-free ring of float32 samples: one writer, one reader.

    A writer that laps the reader drops the oldest samples, never blocks, and never waits.
    Positions are counts of samples since the stream began.
    """

    def __init__(self, capacity: int, start: int = 0) -> None:
        """Keep `capacity` samples (above 0), the first at position `start` (0 to 2^62)."""

    def write(self, block: NDArray[np.float32]) -> None:
        """Append samples: float32, shape (n,), contiguous; any n.

        Of more than `capacity` samples only the last are kept, but positions advance by all.
        """

    def read(self, max_samples: int) -> tuple[int, NDArray[np.float32], int]:
        """Take at most `max_samples`, oldest first.

        Returns:
            Position of the first sample; the samples, float32 of shape (n,); and the number of
            samples lost immediately before that position since the last read.
        """

    @property
    def capacity(self) -> int:
        """Samples kept."""

    @property
    def written(self) -> int:
        """Position after the last sample written."""

    @property
    def consumed(self) -> int:
        """Position after the last sample read or reported lost."""

    @property
    def dropped(self) -> int:
        """Samples that reads have reported lost so far."""

    @property
    def available(self) -> int:
        """Samples that a read would find now."""

class FbankOptions:
    """Settings of the front end; immutable, comparable, hashable and picklable."""

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        frame_length_ms: float = 25.0,
        frame_shift_ms: float = 10.0,
        window: str = "povey",
        preemphasis: float = 0.97,
        remove_dc_offset: bool = True,
        num_mels: int = 80,
        low_hz: float = 20.0,
        high_hz: float = 0.0,
        scale: float = 32768.0,
    ) -> None:
        """Settings by name.

        Raises:
            ValueError: naming the setting, what was expected and what came.
        """

    @staticmethod
    def from_dict(settings: dict[str, Any]) -> FbankOptions:
        """Options from names and values; defaults for those not named."""

    def as_dict(self) -> dict[str, int | float | bool | str]:
        """All settings by name."""

    @property
    def sample_rate(self) -> int:
        """Hz."""

    @property
    def frame_length_ms(self) -> float:
        """Analysis window, milliseconds."""

    @property
    def frame_shift_ms(self) -> float:
        """Hop between frames, milliseconds."""

    @property
    def window(self) -> str:
        """Either "povey" or "hamming"."""

    @property
    def preemphasis(self) -> float:
        """Coefficient, 0 to 1."""

    @property
    def remove_dc_offset(self) -> bool:
        """Whether each frame's mean is subtracted."""

    @property
    def num_mels(self) -> int:
        """Mel filters."""

    @property
    def low_hz(self) -> float:
        """Lower edge of the first filter, Hz."""

    @property
    def high_hz(self) -> float:
        """Upper edge of the last filter, Hz; 0 or less: offset from Nyquist."""

    @property
    def scale(self) -> float:
        """Multiplies the samples: 32768 takes [-1, 1) to the int16 range that Kaldi assumes."""

    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...

class Fbank:
    """Streaming Kaldi-compatible log-mel filterbank; one stream, one thread at a time.

    Frame i covers samples [i * shift, i * shift + length) since construction or reset. The frames
    are the same bits however the samples are cut into blocks, and on every processor.
    """

    def __init__(self, options: FbankOptions = ...) -> None:
        """A front end with these settings."""

    def push(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next samples: float32, shape (n,), contiguous; any n.

        Returns:
            The frames now complete: float32, shape (frames, num_mels), natural-log energies.
        """

    def reset(self) -> None:
        """Forget all samples, as if newly made."""

    @property
    def options(self) -> FbankOptions:
        """The settings it was made with."""

    @property
    def frames_emitted(self) -> int:
        """Frames given since construction or reset."""
