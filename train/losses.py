"""Loss terms: distillation of the teachers' map, and speaker classification."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def distillation_loss(embeddings: Tensor, targets: Tensor) -> Tensor:
    """Mean cosine distance between student and target, both (batch, size).

    Rows whose target is NaN have no teacher and are left out; zero where none has one.
    """
    known = torch.isfinite(targets).all(dim=1)
    if not bool(known.any()):
        return embeddings.sum() * 0.0
    return 1.0 - functional.cosine_similarity(embeddings[known], targets[known]).mean()


class AamSoftmax(nn.Module):
    """Additive angular margin softmax (Deng et al., 2019) over the training speakers."""

    def __init__(self, centres: Tensor, margin: float, scale: float) -> None:
        """`centres` (speakers, embedding): where the classes begin, their mean teacher targets.

        Begun at random, they would pull against distillation. Where a row is zero there is no
        teacher to pull against, and the class does begin at random.
        """
        super().__init__()
        taught = centres.norm(dim=1, keepdim=True) > 0
        start = torch.where(taught, centres, torch.randn_like(centres))
        self.weight = nn.Parameter(functional.normalize(start))
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
