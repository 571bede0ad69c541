"""Loss terms: the teachers' map and its distances, speakers, and agreement between crops."""

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


def relational_loss(embeddings: Tensor, targets: Tensor) -> Tensor:
    """Mean squared difference between the student's and the targets' cosines, pair by pair.

    Relational distillation (Park et al., 2019) with cosines for relations. Rows whose target is
    NaN are left out; zero where fewer than two are known.
    """
    known = torch.isfinite(targets).all(dim=1)
    if int(known.sum()) < 2:
        return embeddings.sum() * 0.0
    students, teachers = (functional.normalize(rows[known]) for rows in (embeddings, targets))
    first, second = torch.triu_indices(len(students), len(students), offset=1)
    difference = students @ students.T - teachers @ teachers.T
    return difference[first, second].square().mean()


def contrastive_loss(
    embeddings: Tensor, utterances: Tensor, labels: Tensor, temperature: float
) -> Tensor:
    """Crops of one utterance against those of all others: NT-Xent (Chen et al., 2020).

    Args:
        embeddings: (batch, size).
        utterances: of which each crop was cut (batch,).
        labels: speakers (batch,), negative where unknown; other utterances of a crop's own speaker
            are not held against it.
        temperature: of the softmax over cosines.

    Returns:
        The mean over the crops that have a partner; zero where none has.
    """
    rows = functional.normalize(embeddings)
    same = utterances[:, None] == utterances[None, :]
    itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    own_speaker = (labels[:, None] == labels[None, :]) & (labels >= 0)[:, None]
    logits = (rows @ rows.T / temperature).masked_fill(itself | (own_speaker & ~same), -torch.inf)
    partners = same & ~itself
    paired = partners.any(dim=1)
    if not bool(paired.any()):
        return embeddings.sum() * 0.0
    log_shares = functional.log_softmax(logits[paired], dim=1).masked_fill(~partners[paired], 0.0)
    return -(log_shares.sum(dim=1) / partners[paired].sum(dim=1)).mean()


class AamSoftmax(nn.Module):
    """Additive angular margin softmax (Deng et al., 2019) over the training speakers.

    With several centres a speaker (Deng et al., 2020) the nearest counts, so that a wrong label or
    another microphone need not pull the others along.
    """

    def __init__(self, centres: Tensor, sub_centres: int, scale: float) -> None:
        """`centres` (speakers, embedding): where the classes begin, their mean teacher targets.

        Begun at random, they would pull against distillation. Where a row is zero there is no
        teacher to pull against, and the class does begin at random, as do further centres.
        """
        super().__init__()
        taught = centres.norm(dim=1, keepdim=True) > 0
        first = torch.where(taught, centres, torch.randn_like(centres))
        further = torch.randn(len(centres), sub_centres - 1, centres.shape[1])
        self.weight = nn.Parameter(
            functional.normalize(torch.cat([first[:, None], further], dim=1), dim=2)
        )
        self.scale = scale

    def forward(self, embeddings: Tensor, labels: Tensor, margin: float) -> Tensor:
        """Mean loss over the crops whose label is known (not negative); zero where none is."""
        known = labels >= 0
        if not bool(known.any()):
            return embeddings.sum() * 0.0
        embeddings, labels = embeddings[known], labels[known]
        centres = functional.normalize(self.weight, dim=2).flatten(0, 1)
        cosines = functional.linear(functional.normalize(embeddings), centres)
        cosine = cosines.unflatten(1, self.weight.shape[:2]).amax(dim=2)
        own = cosine.gather(1, labels[:, None]).clamp(-1 + 1e-6, 1 - 1e-6)
        with_margin = own * math.cos(margin) - (1 - own.square()).sqrt() * math.sin(margin)
        # Past pi - margin the angle would wrap round; there a constant keeps the loss monotonic.
        wrapped = own < math.cos(math.pi - margin)
        with_margin = torch.where(wrapped, own - margin * math.sin(margin), with_margin)
        logits = self.scale * cosine.scatter(1, labels[:, None], with_margin)
        return functional.cross_entropy(logits, labels)
