"""What a training step lowers: the weighted sum of the loss terms of one batch of crops."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from train.batches import Batch
from train.config import LossConfig
from train.encoder import Encoder
from train.losses import AamSoftmax, contrastive_loss, distillation_loss, relational_loss


class Objective(nn.Module):
    """The encoder and the classifier behind it; a module, so that it can be run on many devices."""

    def __init__(self, encoder: Encoder, classifier: AamSoftmax, config: LossConfig) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = classifier
        self.config = config

    def forward(self, batch: Batch, margin: float) -> dict[str, Tensor]:
        """The terms whose weight is not zero, and `loss`, their weighted sum."""
        embeddings = self.encoder(batch.fbank, batch.mask).float()
        # Cosines in bf16 are mistaken by hundredths, and one near 1 has a margin without a slope.
        with torch.autocast(embeddings.device.type, enabled=False):
            terms = self._terms(embeddings, batch, margin)
            loss = embeddings.new_zeros(())
            for name, term in terms.items():
                loss = loss + getattr(self.config, name) * term
        return {"loss": loss} | terms

    def _terms(self, embeddings: Tensor, batch: Batch, margin: float) -> dict[str, Tensor]:
        config = self.config
        terms = {}
        if config.distillation:
            terms["distillation"] = distillation_loss(embeddings, batch.targets)
        if config.relational:
            terms["relational"] = relational_loss(embeddings, batch.targets)
        if config.classification:
            terms["classification"] = self.classifier(embeddings, batch.labels, margin)
        if config.contrastive:
            terms["contrastive"] = contrastive_loss(
                embeddings, batch.utterances, batch.labels, config.temperature
            )
        return terms


def margin_at(step: int, config: LossConfig) -> float:
    """The margin grows from nothing: a class must be found before it can be kept apart."""
    if step >= config.margin_ramp_steps:
        return config.margin
    return config.margin * step / config.margin_ramp_steps
