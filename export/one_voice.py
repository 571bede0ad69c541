"""How far the exported segmenter says what torch's does, of recordings of two who take turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from edge.encoder import Model
from edge.segmenter import tokens_of
from edge.statistics import TOKEN
from export.parity import whole_by_torch, whole_streamed
from train.augment import from_db, rms
from train.encoder import Encoder
from train.metrics import roc_auc
from train.trials import centre_crop

TALKS = 40
TURNS = 4  # of a talk, by two in turn
TURN_SECONDS = 3.0  # at most
LEVEL_DB = -26.0  # RMS of a turn relative to full scale

Audio = NDArray[np.float32]
Floats = NDArray[np.float64]
LogOdds = Callable[[Audio], Floats]  # of a recording, that two of its tokens are one voice's


@dataclass(frozen=True)
class OneVoice:
    """What the forms of a segmenter say of the same pairs of tokens."""

    correlation: float  # of int8's log-odds with torch's
    auc: dict[str, float]  # area under the ROC curve, by form


def measure_one_voice(
    encoder: Encoder, fp32: Model, int8: Model, audios: Sequence[Audio], speakers: Sequence[str]
) -> OneVoice:
    """Compare torch in one shot with both exported forms, streamed.

    `audios` (16 kHz) are of two `speakers` at least.
    """
    forms = {
        "torch": _torch_log_odds(encoder, fp32),
        "fp32": _streamed_log_odds(fp32),
        "int8": _streamed_log_odds(int8),
    }
    truths = list[NDArray[np.bool_]]()
    said: dict[str, list[Floats]] = {form: [] for form in forms}
    talks = track(_talks(audios, speakers), "gate, segmenter", total=TALKS)
    for talk, turns in talks:
        odds = {form: log_odds(talk) for form, log_odds in forms.items()}
        pairs = np.triu_indices(len(odds["torch"]), 1)
        middle = (np.arange(len(odds["torch"])) + 0.5) * TOKEN * fp32.record_samples - fp32.delay
        second = np.searchsorted(turns, middle, side="right") % 2
        truths.append(second[pairs[0]] == second[pairs[1]])
        for form, of_form in odds.items():
            said[form].append(of_form[pairs])
    truth = np.concatenate(truths)
    log_odds = {form: np.concatenate(rows) for form, rows in said.items()}
    return OneVoice(
        correlation=float(np.corrcoef(log_odds["torch"], log_odds["int8"])[0, 1]),
        auc={form: roc_auc(rows, truth) for form, rows in log_odds.items()},
    )


def _talks(
    audios: Sequence[Audio], speakers: Sequence[str]
) -> Iterator[tuple[Audio, NDArray[np.int64]]]:
    """Recordings of two in turn, and the samples at which their turns end."""
    random = np.random.default_rng(1)
    names = np.array(speakers)
    for _ in range(TALKS):
        turns = []
        for name in np.resize(random.choice(np.unique(names), 2, replace=False), TURNS):
            turn = centre_crop(audios[random.choice(np.flatnonzero(names == name))], TURN_SECONDS)
            turns.append(turn * (from_db(LEVEL_DB) / rms(turn)))
        yield np.concatenate(turns), np.cumsum([len(turn) for turn in turns])


def _torch_log_odds(encoder: Encoder, model: Model) -> LogOdds:
    """By torch in one shot, of the records that `model` makes."""

    def embed(statistics: Floats) -> Floats:
        rows: Floats = encoder.head(torch.from_numpy(statistics).float()).double().numpy()
        return rows

    @torch.inference_mode()
    def log_odds(audio: Audio) -> Floats:
        records = whole_by_torch(encoder, model, audio).astype(np.float64)
        tokens = torch.from_numpy(tokens_of(records.cumsum(axis=0), embed)).float()
        odds: Floats = encoder.segmenter(tokens[None])[0].double().numpy()
        return odds

    return log_odds


def _streamed_log_odds(model: Model) -> LogOdds:
    """By the runtime, streamed."""

    def log_odds(audio: Audio) -> Floats:
        records = whole_streamed(model, audio).astype(np.float64)
        return model.one_voice(tokens_of(records.cumsum(axis=0), model.embed))

    return log_odds
