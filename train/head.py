"""Training of the head by itself, to tell speakers apart.

Distillation teaches where a teacher puts a voice; what keeps one speaker apart from the next is a
small part of that. By sums of statistics (see `hearings`) a step takes hundreds of crops of all
lengths and runs no network but the head, so thousands of steps with speakers for classes are a
matter of minutes.

Most speakers of most corpora were recorded at one sitting, and what tells their sittings apart
tells them apart, too. A head that has learned that knows people worse another day. So a part of the
change is kept: between two heads, one begun with the other, lies one that knows what both do
(Wortsman et al., 2022).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor
from torch.nn import functional

from train.config import TrainConfig
from train.corpus import Corpus
from train.encoder import Encoder
from train.hearings import Hearings
from train.losses import AamSoftmax
from train.optimiser import descend, parameter_groups, warm_half_cosine

WARMUP = 100  # steps


def train_head(
    encoder: Encoder, config: TrainConfig, corpus: Corpus, folder: Path, workers: int
) -> list[float]:
    """Train the head's layers in place; nothing else changes. Returns the loss of each step.

    What the trunk makes of the recordings is kept in `folder`, hearing by hearing: after a stop,
    none that is whole is made again.
    """
    hearings = Hearings.open(encoder, config, corpus, folder, workers)
    settings, device = config.head, encoder.input_mean.device
    torch.manual_seed(config.seed)
    random = np.random.default_rng([config.seed, settings.steps])
    encoder.eval()  # the normalisations keep their statistics
    classifier = AamSoftmax(_class_centres(encoder, hearings), 1, config.loss.scale).to(device)
    layers = [encoder.head_linear, encoder.head_in, encoder.head_out]
    weights = [weight for layer in layers for weight in layer.parameters()]
    before = [weight.detach().clone() for weight in weights]
    groups = parameter_groups(layers, settings.weight_decay) + parameter_groups([classifier], 0.0)
    optimiser = torch.optim.AdamW(groups)
    encoder.moment_dropout.p, encoder.hidden_dropout.p = settings.moment_dropout, settings.dropout
    encoder.moment_dropout.train()
    encoder.hidden_dropout.train()
    losses = []
    for step in track(range(settings.steps), "head"):
        rate = warm_half_cosine(settings.learning_rate, step, settings.steps, WARMUP)
        sums, labels = (
            torch.from_numpy(part).to(device) for part in hearings.crops(settings.batch, random)
        )
        loss = classifier(encoder.head(sums), labels, config.loss.margin)
        losses.append(descend(optimiser, loss, rate, step))
    with torch.no_grad():
        for weight, old in zip(weights, before, strict=True):
            weight.copy_(torch.lerp(old, weight, settings.kept))
    encoder.eval()
    return losses


def _class_centres(encoder: Encoder, hearings: Hearings) -> Tensor:
    """The mean direction of each speaker's recordings (speakers, embedding), as the head begins."""
    centres = torch.zeros(hearings.speakers, encoder.config.embedding)
    for sums, labels in hearings.whole():
        known = labels >= 0
        with torch.inference_mode():
            rows = encoder.head(torch.from_numpy(sums[known]).to(encoder.input_mean.device))
        centres.index_add_(0, torch.from_numpy(labels[known]), functional.normalize(rows).cpu())
    return centres
