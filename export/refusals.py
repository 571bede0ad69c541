"""Which recordings enrolment refuses: of the development split, as they are, and spoilt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from rich.progress import track

from edge.encoder import Model
from edge.enrolment import assess
from edge.quality import measure
from train.augment import from_db, mix
from train.manifest import read_manifest
from train.waveforms import read_audio

LEAST_SECONDS = 5.0  # of a recording, so that hardly one is refused for being short
MOST = 240  # recordings, evenly from the list
NOISE_DB, OVERDRIVE_DB = 5.0, 12.0
OTHERS_SHARE = (0.25, 0.5)  # of a recording in which two persons speak one after the other

Audio = NDArray[np.float32]
Spoil = Callable[[Audio, Audio, Generator], Audio]  # a recording and one of somebody else's


@dataclass(frozen=True)
class Refusals:
    """One way to spoil recordings: how many are refused, in percent, and for what, commonest first.

    A reason is what its message begins with.
    """

    spoilt: str
    recordings: int
    refused: float
    reasons: list[str]


def _as_it_is(audio: Audio, other: Audio, random: Generator) -> Audio:
    return audio


def _in_noise(audio: Audio, other: Audio, random: Generator) -> Audio:
    return mix(audio, random.standard_normal(len(audio)).astype(np.float32), NOISE_DB)


def _overdriven(audio: Audio, other: Audio, random: Generator) -> Audio:
    peak = np.abs(audio).max() + np.float32(1e-9)
    driven: Audio = (audio * (from_db(OVERDRIVE_DB) / peak)).clip(-1.0, 1.0)
    return driven


def _followed(audio: Audio, other: Audio, random: Generator) -> Audio:
    share = random.uniform(*OTHERS_SHARE)
    own = max(1, round((1.0 - share) * len(audio)))
    return np.concatenate([audio[:own], np.resize(other, len(audio) - own)])


def _talked_over(audio: Audio, other: Audio, random: Generator) -> Audio:
    return mix(audio, np.resize(other, len(audio)), 0.0)


WAYS: dict[str, Spoil] = {
    "as recorded": _as_it_is,
    f"white noise at {NOISE_DB:g} dB": _in_noise,
    f"overdriven by {OVERDRIVE_DB:g} dB": _overdriven,
    "another person for 25 to 50 % of it": _followed,
    "another person all the time, as loud": _talked_over,
}


def evaluate_refusals(corpus: Path, model: Model) -> list[Refusals]:
    """What enrolment says of recordings of the development split that are long enough."""
    utterances = [u for u in read_manifest(corpus / "dev.csv") if u.seconds >= LEAST_SECONDS]
    utterances = utterances[:: max(1, -(-len(utterances) // MOST))]
    audios = [read_audio(u.path) for u in utterances]
    speakers = np.array([u.speaker for u in utterances])
    rows = []
    for way, spoil in track(WAYS.items(), description="enrolment", transient=True):
        random = np.random.default_rng(1)
        reasons: Counter[str] = Counter()
        refused = 0
        for audio, speaker in zip(audios, speakers, strict=True):
            other = audios[random.choice(np.flatnonzero(speakers != speaker))]
            quality = measure(model, [spoil(audio, other, random)])
            (recording,) = assess(model, speaker, [(way, quality)], [])
            found = [finding.what for finding in recording.findings if finding.refused]
            refused += bool(found)
            reasons.update(what.partition(" is ")[0] for what in found)
        commonest = [reason for reason, _ in reasons.most_common()]
        rows.append(Refusals(way, len(audios), 100 * refused / len(audios), commonest))
    return rows
