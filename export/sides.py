"""Sides of trials: speech of speakers held out, cut, and heard through rooms and lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.encoder import Model
from edge.front_end import SAMPLE_RATE
from edge.gate import GateConfig
from edge.records import Record, all_records
from edge.scoring import MAX_SECONDS, MIN_SECONDS, directions, match_all
from train.augment import AugmentConfig
from train.corpus import Corpus

Floats = NDArray[np.float64]
Audio = NDArray[np.float32]
Channel = Callable[[Audio], Audio]
Speakers = tuple[NDArray[np.str_], NDArray[np.str_]]

CHANNELS = 6
SECONDS_PER_TRIAL = 6.0  # of a speaker's speech
TRIALS_PER_SPEAKER = (3, 16)
MIN_RECORDS, MAX_RECORDS = round(10 * MIN_SECONDS), round(10 * MAX_SECONDS)  # of a side

_CHANNEL = AugmentConfig(
    room_probability=0.7,
    noise_probability=0.5,
    noise_snr_db=(8.0, 25.0),
    babble_probability=0.0,
    telephone_probability=0.3,
    band_probability=0.3,
    clipping_probability=0.0,
    level_db=(-45.0, -20.0),
)


class Sides(NamedTuple):
    """One side of many trials."""

    embeddings: Floats  # (trials, size)
    seconds: Floats  # of net speech (trials,)

    def chosen(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Sides:
        """Some of them, by marks or places."""
        return Sides(self.embeddings[which], self.seconds[which])


@dataclass(frozen=True)
class Cut:
    """Where the two sides of a trial are cut from a speaker's speech."""

    speaker: str
    recordings: tuple[int, ...]  # one after the other
    parting: float  # share of the speech that the first side is cut from
    lengths: tuple[float, float]  # of each side, from the least (0) to the most there is (1)
    places: tuple[float, float]  # of each side in its part


def cut_sides(speakers: Sequence[str], samples: Sequence[int], chosen: Set[str]) -> list[Cut]:
    """Trials of each of the `chosen`, the more the more there is of their speech."""
    random = np.random.default_rng(1)
    cuts = []
    for speaker in sorted(chosen):
        rows = [i for i, name in enumerate(speakers) if name == speaker]
        seconds = sum(samples[i] for i in rows) / SAMPLE_RATE
        for _ in range(int(np.clip(seconds / SECONDS_PER_TRIAL, *TRIALS_PER_SPEAKER))):
            order = tuple(int(i) for i in random.permutation(rows))
            parting, *rest = (float(x) for x in random.uniform(size=5))
            cuts.append(Cut(speaker, order, parting, (rest[0], rest[1]), (rest[2], rest[3])))
    return cuts


def shared_channels(corpus: Corpus) -> list[Channel]:
    """Rooms, lines and noises, each the same for every recording that is heard through it."""
    augmenter = corpus.augmenter(_CHANNEL)

    def channel(seed: int) -> Channel:
        # The same chance for every recording: the same room, line and noise.
        return lambda audio: augmenter.waveform(audio, np.random.default_rng([7, seed]))

    return [channel(seed) for seed in range(CHANNELS)]


def all_llrs(
    model: Model, tested: Sides, enrolled: Sides, speakers: Speakers | None = None
) -> Floats:
    """Llrs (tested, enrolled) of all pairs, as between recordings.

    `speakers` of both: each pair as if everybody else were enrolled, too; None: as if nobody were.
    """
    match = match_all(directions(tested.embeddings), directions(enrolled.embeddings))
    seconds = tested.seconds[:, None], enrolled.seconds[None]
    if speakers is None:
        return model.across.alone.llr(match, *seconds)
    return model.across.llr_of_trials(match, *seconds, *speakers)


def sides_of(model: Model, statistics: Floats) -> Sides:
    """Statistics (sides, size) as they are compared."""
    return Sides(model.embed(statistics), model.seconds(statistics))


def speech_records(model: Model, audio: Audio) -> Floats:
    """Statistics of the tenths of a second that tell of a voice (records, size)."""
    return rows_of(model, [r for r in all_records(model, GateConfig(), audio) if r.evidence])


def rows_of(model: Model, records: Sequence[Record]) -> Floats:
    """Statistics of records (records, size), be there any or none."""
    return np.array([r.statistics for r in records]).reshape(-1, model.statistics_size)


def hear_sides(model: Model, records: Sequence[Floats], cuts: Sequence[Cut]) -> tuple[Sides, Sides]:
    """The first and the second side of every trial; a side without enough speech has no seconds."""
    sums = np.zeros((2, len(cuts), model.statistics_size))
    for trial, cut in enumerate(cuts):
        speech = np.concatenate([records[i] for i in cut.recordings])
        if len(speech) < 2 * MIN_RECORDS:
            continue
        parting = int(np.clip(cut.parting * len(speech), MIN_RECORDS, len(speech) - MIN_RECORDS))
        for side, part in enumerate((speech[:parting], speech[parting:])):
            most = min(len(part), MAX_RECORDS)
            count = int(MIN_RECORDS * (most / MIN_RECORDS) ** cut.lengths[side])
            start = int(cut.places[side] * (len(part) - count))
            sums[side, trial] = part[start : start + count].sum(axis=0)
    older, newer = (sides_of(model, side) for side in sums)
    return older, newer
