"""Fitting what turns scores into decisions, on speakers that the encoder was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from edge.encoder import Model
from edge.gate import GateConfig
from edge.records import all_records
from edge.scoring import scarcity
from train.augment import AugmentConfig
from train.corpus import Corpus

Floats = NDArray[np.float64]
Audio = NDArray[np.float32]
Channel = Callable[[Audio], Audio]

CHANNELS = 6
_CHANNEL = AugmentConfig(
    room_probability=0.7,
    noise_probability=0.5,
    noise_snr_db=(8.0, 25.0),
    babble_probability=0.0,
    telephone_probability=0.3,
    clipping_probability=0.0,
    level_db=(-45.0, -20.0),
)


def fit_calibration(
    model: Model,
    audios: Sequence[Audio],
    speakers: Sequence[str],
    channels: Sequence[Channel],
    *,
    seed: int = 1,
    stretches: int = 2,
) -> tuple[float, float, float, float]:
    """Weights that turn cosine and net seconds into a log-likelihood ratio.

    Every recording gives several stretches of 0.4 s or more of its speech; all pairs of stretches
    from different recordings are trials. Logistic regression at equal priors then makes the score
    a likelihood ratio (Brümmer and du Preez, 2006).

    The voices of a conversation share its room, microphone and line, which makes strangers alike:
    the recordings are therefore also heard through each of the `channels`, all through the same one
    at a time, and those trials count as much as the ones without.
    """
    conditions = [
        _trials(
            model,
            [channel(audio) for audio in audios],
            speakers,
            seed=seed,
            stretches=stretches,
        )
        for channel in (_as_it_is, *channels)
    ]
    features, targets = (np.concatenate(parts) for parts in zip(*conditions, strict=True))
    return _logistic_regression(features, targets)


def _as_it_is(audio: Audio) -> Audio:
    return audio


def shared_channels(corpus: Corpus, count: int = CHANNELS) -> list[Channel]:
    """Rooms, lines and noises, each the same for every recording that is heard through it."""
    augmenter = corpus.augmenter(_CHANNEL)

    def channel(seed: int) -> Channel:
        # The same chance for every recording: the same room, line and noise.
        return lambda audio: augmenter.waveform(audio, np.random.default_rng([7, seed]))

    return [channel(seed) for seed in range(count)]


def _trials(
    model: Model, audios: Sequence[Audio], speakers: Sequence[str], *, seed: int, stretches: int
) -> tuple[Floats, NDArray[np.bool_]]:
    """Regressors of all trials (trials, 4), and which of them are of one speaker."""
    random = np.random.default_rng(seed)
    sums, owners, recordings = [], [], []
    for recording, (audio, speaker) in enumerate(zip(audios, speakers, strict=True)):
        records = all_records(model, GateConfig(), audio)
        speech = [r.statistics for r in records if r.speech]
        if len(speech) < 4:
            continue
        for _ in range(stretches):
            count = int(np.exp(random.uniform(np.log(4), np.log(len(speech) + 0.99))))
            start = int(random.integers(len(speech) - count + 1))
            sums.append(np.sum(speech[start : start + count], axis=0))
            owners.append(speaker)
            recordings.append(recording)
    statistics = np.stack(sums)
    embeddings = model.embed(statistics)
    seconds = model.seconds(statistics)
    names = np.unique(owners, return_inverse=True)[1]
    first, second = np.triu_indices(len(names), k=1)
    apart = np.asarray(recordings)[first] != np.asarray(recordings)[second]
    first, second = first[apart], second[apart]
    cosines = (embeddings @ embeddings.T)[first, second]
    q = scarcity(seconds[first], seconds[second])
    features = np.stack([np.ones_like(q), q, cosines, cosines * q], axis=-1)
    return features, names[first] == names[second]


def _logistic_regression(
    features: Floats, targets: NDArray[np.bool_]
) -> tuple[float, float, float, float]:
    """Weights of least cross-entropy with both classes weighted alike."""
    sign = np.where(targets, 1.0, -1.0)
    importance = np.where(targets, 0.5 / targets.sum(), 0.5 / (~targets).sum())

    def cost(weights: Floats) -> tuple[float, Floats]:
        margin = sign * (features @ weights)
        gradient = -(importance * sign / (1.0 + np.exp(margin))) @ features
        return float(importance @ np.logaddexp(0.0, -margin)), gradient

    start = np.array([0.0, 0.0, 1.0, 0.0])
    fitted = minimize(cost, start, jac=True, method="BFGS", options={"gtol": 1e-7})
    a, b, c, d = (float(weight) for weight in fitted.x)
    return a, b, c, d
