"""Loss terms: distillation of the teachers' map, and speaker classification."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def distillation_loss(embeddings: Tensor, targets: Tensor) -> Tensor:
    """Mean cosine distance between student and target, both (batch, size)."""
    return 1.0 - functional.cosine_similarity(embeddings, targets).mean()


class AamSoftmax(nn.Module):
    """Additive angular margin softmax (Deng et al., 2019) over the training speakers."""

    def __init__(self, centres: Tensor, margin: float, scale: float) -> None:
        """`centres` (speakers, embedding): where the classes begin, their mean teacher targets.

        Begun at random, they would pull against distillation.
        """
        super().__init__()
        self.weight = nn.Parameter(functional.normalize(centres))
        self.margin = margin
        self.scale = scale

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Mean loss over the crops whose label is known (not negative); zero where none is."""
        known = labels >= 0
        if not bool(known.any()):
            return embeddings.sum() * 0.0
        embeddings, labels = embeddings[known], labels[known]
        cosine = functional.linear(
            functional.normalize(embeddings), functional.normalize(self.weight)
        )
        own = cosine.gather(1, labels[:, None]).clamp(-1 + 1e-6, 1 - 1e-6)
        with_margin = own * math.cos(self.margin) - (1 - own.square()).sqrt() * math.sin(
            self.margin
        )
        # Past pi - margin the angle would wrap round; there a constant keeps the loss monotonic.
        wrapped = own < math.cos(math.pi - self.margin)
        with_margin = torch.where(wrapped, own - self.margin * math.sin(self.margin), with_margin)
        logits = self.scale * cosine.scatter(1, labels[:, None], with_margin)
        return functional.cross_entropy(logits, labels)
