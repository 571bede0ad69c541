"""Recordings of the development split made worse in known ways; the same on every run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.errors import EarmarkError
from train.augment import band_limited, mix, rms, telephone

Audio = NDArray[np.float32]
LINE_HZ = (300.0, 3400.0)
BAND_LOW_HZ, BAND_HIGH_HZ = (20.0, 250.0), (3500.0, 7800.0)
BAND_FLOOR_DB = -50.0
BABBLERS = 5


def in_babble(audios: Sequence[Audio], speakers: Sequence[str], snr_db: float) -> list[Audio]:
    """Each recording among five others of the same list, none of them by its speaker.

    Raises:
        EarmarkError: there are no five such recordings.
    """
    random = np.random.default_rng(1)
    noisy = []
    for audio, speaker in zip(audios, speakers, strict=True):
        strangers = np.flatnonzero(np.asarray(speakers) != speaker)
        if len(strangers) < BABBLERS:
            raise EarmarkError(
                f"babble for {speaker} needs {BABBLERS} recordings of others, and there are "
                f"{len(strangers)}",
                "Name more of other speakers in the list",
            )
        others = random.choice(strangers, size=BABBLERS, replace=False)
        voices = [np.resize(audios[other], len(audio)) for other in others]
        babble = sum(voice / rms(voice) for voice in voices)
        noisy.append(mix(audio, np.asarray(babble, dtype=np.float32), snr_db))
    return noisy


def over_telephone(audios: Sequence[Audio]) -> list[Audio]:
    """Each recording over a line of 8 kHz, companded as by G.711."""
    return [telephone(audio, *LINE_HZ, companded=True) for audio in audios]


def half_over_telephone(audios: Sequence[Audio]) -> list[Audio]:
    """Every second recording over such a line, and the others as they are."""
    lines = over_telephone(audios[1::2])
    return [lines[i // 2] if i % 2 else audio for i, audio in enumerate(audios)]


def in_bands(audios: Sequence[Audio]) -> list[Audio]:
    """Each recording by a microphone with a band of its own."""
    random = np.random.default_rng(1)
    return [
        band_limited(
            audio, random.uniform(*BAND_LOW_HZ), random.uniform(*BAND_HIGH_HZ), BAND_FLOOR_DB
        )
        for audio in audios
    ]
