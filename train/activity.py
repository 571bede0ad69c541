"""Training of the activity outputs on mixtures, with the trunk as it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.progress import track
from torch.nn import functional
from torch.utils.data import Subset

from train.checkpoint import (
    Parts,
    interrupts_held,
    load_checkpoint,
    save_checkpoint,
    saving,
)
from train.config import TrainConfig
from train.corpus import Corpus
from train.encoder import Encoder
from train.loader import in_order
from train.metrics import average_precision, roc_auc
from train.mixtures import Mixture, Mixtures
from train.optimiser import descend, half_cosine

MEASURED = 40  # mixtures of a batch each


def mixtures(config: TrainConfig, corpus: Corpus, *, held_out: bool) -> Mixtures:
    """Mixtures of the training speakers, or of those held out from them."""
    augment = replace(config.augment, babble_snr_db=config.activity.babble_snr_db)
    return Mixtures(
        config,
        utterances=corpus.held_out if held_out else corpus.train,
        indices=corpus.held_out_indices if held_out else corpus.train_indices,
        waveforms=corpus.waveforms,
        noises=corpus.noises,
        timings=corpus.timings,
        augmenter=corpus.augmenter(augment),
        stream=4 if held_out else 1,  # 2 and 3 are the talks'
    )


def train_activity(
    encoder: Encoder, config: TrainConfig, corpus: Corpus, checkpoint: Path, workers: int
) -> list[float]:
    """Train `encoder.activity` in place; nothing else changes. Returns the loss of each step.

    After a stop, that is of each step from the one on at which `checkpoint`, a file, was written.
    """
    encoder.eval()  # the normalisations of the trunk keep their statistics
    encoder.activity.train()
    torch.manual_seed(config.seed)
    settings = config.activity
    optimiser = torch.optim.AdamW(encoder.activity.parameters(), lr=settings.learning_rate)
    parts: Parts = {"activity": encoder.activity, "optimiser": optimiser}
    begun = load_checkpoint(checkpoint, parts) if checkpoint.is_file() else 0
    left = Subset(mixtures(config, corpus, held_out=False), range(begun, settings.steps))
    losses: list[float] = []
    with saving(lambda: save_checkpoint(checkpoint, begun + len(losses), parts)) as save_when_due:
        loader = in_order(left, workers, ahead=4)
        for mixture in track(loader, "speech and overlap", total=settings.steps, completed=begun):
            with interrupts_held():
                step = begun + len(losses)
                rate = settings.learning_rate * half_cosine(step / settings.steps)
                loss = _loss(encoder, mixture, config)
                losses.append(descend(optimiser, loss, rate, step))
            save_when_due()
    encoder.eval()
    return losses


def _loss(encoder: Encoder, mixture: Mixture, config: TrainConfig) -> torch.Tensor:
    bf16 = config.optimiser.precision == "bf16"
    with torch.autocast(encoder.input_mean.device.type, torch.bfloat16, enabled=bf16):
        odds = log_odds(encoder, mixture)
    return functional.binary_cross_entropy_with_logits(odds.float(), mixture.truth)


def log_odds(encoder: Encoder, mixture: Mixture) -> torch.Tensor:
    """What the activity outputs say of each encoder frame, (batch, time, 3)."""
    device = encoder.input_mean.device
    fbank = mixture.fbank.to(device)
    with torch.no_grad():
        state = encoder.initial_state(len(fbank))
        middle, last, *_ = encoder.depths(fbank, state)
    odds: torch.Tensor = encoder.activity(middle, last, state.activity)[0]
    return odds.to(mixture.truth.device)


@dataclass(frozen=True)
class Detection:
    """Areas under the ROC curve, and average precision, over encoder frames."""

    speech_auc: float  # at once
    later_speech_auc: float
    overlap_auc: float
    overlap_precision: float
    overlap_share: float  # the precision of guessing


def measure_activity(encoder: Encoder, config: TrainConfig, corpus: Corpus) -> Detection:
    """On mixtures of the speakers held out from the training side."""
    corpus.check_judges()
    held_out = mixtures(config, corpus, held_out=True)
    with torch.inference_mode():
        pairs = [
            (log_odds(encoder, mixture).flatten(0, 1), mixture.truth.flatten(0, 1) > 0)
            for mixture in (held_out[i] for i in range(MEASURED))
        ]
    odds, truth = (torch.cat(parts).numpy() for parts in zip(*pairs, strict=True))
    return Detection(
        speech_auc=roc_auc(odds[:, 0], truth[:, 0]),
        later_speech_auc=roc_auc(odds[:, 1], truth[:, 1]),
        overlap_auc=roc_auc(odds[:, 2], truth[:, 2]),
        overlap_precision=average_precision(odds[:, 2], truth[:, 2]),
        overlap_share=float(truth[:, 2].mean()),
    )
