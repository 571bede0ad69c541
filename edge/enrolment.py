"""Making profiles: the sum of everything that a speaker said."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.encoder import Model
from edge.errors import EarmarkError
from edge.gate import GateConfig
from edge.records import all_records
from edge.statistics import Profile, Sums

MIN_SPEECH_SECONDS = 3.0


def speech_statistics(model: Model, samples: NDArray[np.float32], gate: GateConfig) -> Sums:
    """Statistics (size,) of the speech in samples (n,) at 16 kHz; all zero where there is none."""
    total = np.zeros(model.statistics_size)
    for record in all_records(model, gate, samples):
        if record.speech:
            total += record.statistics
    return total


def profile_from_audio(model: Model, name: str, samples: NDArray[np.float32]) -> Profile:
    """A profile from one recording of one speaker, samples (n,) at 16 kHz.

    Raises:
        EarmarkError: less than three seconds of speech.
    """
    statistics = speech_statistics(model, samples, GateConfig())
    seconds = float(model.seconds(statistics))
    if seconds < MIN_SPEECH_SECONDS:
        raise EarmarkError(
            f"enrolment of {name} needs {MIN_SPEECH_SECONDS:g} s of speech, heard {seconds:.1f} s",
            "Record more, closer to the microphone",
        )
    return Profile(name, statistics)
