"""Making profiles: the sum of everything that a speaker said."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from edge.encoder import Model
from edge.errors import EarmarkError
from edge.gate import GateConfig
from edge.records import iter_records
from edge.statistics import Profile, Sums

MIN_SPEECH_SECONDS = 3.0


def speech_statistics(model: Model, samples: NDArray[np.float32], gate: GateConfig) -> Sums:
    """Statistics (size,) of the speech in samples (n,) at 16 kHz; all zero where there is none."""
    return stream_statistics(model, [samples], gate)


def stream_statistics(
    model: Model, blocks: Iterable[NDArray[np.float32]], gate: GateConfig
) -> Sums:
    """Statistics (size,) of the speech in a recording of any length, given block after block."""
    total = np.zeros(model.statistics_size)
    for record in iter_records(model, gate, blocks):
        if record.speech:
            total += record.statistics
    return total


def check_enough(model: Model, profile: Profile) -> None:
    """Refuse a profile that too little speech stands behind.

    Raises:
        EarmarkError: less than three seconds of speech.
    """
    seconds = float(model.seconds(profile.statistics))
    if seconds < MIN_SPEECH_SECONDS:
        raise EarmarkError(
            f"enrolment of {profile.name} needs {MIN_SPEECH_SECONDS:g} s of speech, "
            f"heard {seconds:.1f} s",
            "Record more, closer to the microphone",
        )


def profile_from_audio(model: Model, name: str, samples: NDArray[np.float32]) -> Profile:
    """A profile from one recording of one speaker, samples (n,) at 16 kHz.

    Raises:
        EarmarkError: less than three seconds of speech.
    """
    profile = Profile(name, speech_statistics(model, samples, GateConfig()))
    check_enough(model, profile)
    return profile
