"""Risk: a loss term that pulls the wrong way, or that counts what nobody knows."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from train.batches import Batch
from train.config import LossConfig
from train.losses import AamSoftmax, contrastive_loss, distillation_loss, relational_loss
from train.objective import Objective, margin_at


def rows(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


def test_relations_survive_rotation_and_scale_and_distillation_does_not() -> None:
    targets = rows(8)
    rotation = torch.linalg.qr(rows(6, seed=1))[0]
    turned = 3.0 * targets @ rotation
    assert relational_loss(turned, targets) < 1e-10
    assert distillation_loss(turned, targets) > 0.2
    assert relational_loss(rows(8, seed=2), targets) > 0.05


@pytest.mark.parametrize("loss", [relational_loss, distillation_loss])
def test_rows_without_a_teacher_do_not_count(loss) -> None:  # type: ignore[no-untyped-def]
    embeddings, targets = rows(6), rows(6, seed=1)
    targets[[1, 4]] = torch.nan
    known = [0, 2, 3, 5]
    assert loss(embeddings, targets) == loss(embeddings[known], targets[known])
    nothing = loss(embeddings.requires_grad_(), torch.full_like(targets, torch.nan))
    nothing.backward()
    assert nothing == 0
    assert embeddings.grad is not None
    assert not embeddings.grad.any()


def test_crops_of_one_utterance_attract_and_others_repel() -> None:
    embeddings = rows(6).requires_grad_()
    utterances = torch.tensor([0, 0, 1, 1, 2, 2])
    unknown = torch.full((6,), -1)
    optimiser = torch.optim.SGD([embeddings], lr=1.0)
    before = contrastive_loss(embeddings, utterances, unknown, 0.1).item()
    for _ in range(300):
        optimiser.zero_grad()
        contrastive_loss(embeddings, utterances, unknown, 0.1).backward()
        optimiser.step()
    unit = functional.normalize(embeddings.detach())
    cosines = unit @ unit.T
    same = utterances[:, None] == utterances
    assert before > 1.0
    assert cosines[same].min() > 0.9
    assert cosines[~same].max() < 0.3


def test_other_utterances_of_the_same_speaker_are_not_held_against_a_crop() -> None:
    utterances = torch.tensor([0, 0, 1, 1, 2, 2])
    alike = functional.normalize(rows(1)).repeat(4, 1)
    embeddings = torch.cat([alike, -alike[:2]])
    one_speaker = contrastive_loss(embeddings, utterances, torch.tensor([5, 5, 5, 5, 7, 7]), 0.1)
    strangers = contrastive_loss(embeddings, utterances, torch.full((6,), -1), 0.1)
    assert one_speaker < 1e-6
    assert strangers > 0.5


def test_without_partners_there_is_nothing_to_contrast() -> None:
    embeddings = rows(3).requires_grad_()
    loss = contrastive_loss(embeddings, torch.arange(3), torch.full((3,), -1), 0.1)
    loss.backward()
    assert loss == 0


def test_without_margin_it_is_softmax_over_cosines() -> None:
    classifier = AamSoftmax(rows(4), sub_centres=1, scale=30.0)
    embeddings, labels = rows(9, seed=1), torch.tensor([0, 1, 2, 3, 0, 1, -1, -1, 2])
    known = labels >= 0
    cosines = functional.normalize(embeddings) @ functional.normalize(rows(4)).T
    expected = functional.cross_entropy(30.0 * cosines[known], labels[known])
    torch.testing.assert_close(classifier(embeddings, labels, 0.0), expected)
    assert classifier(embeddings, labels, 0.3) > expected


def test_the_nearest_of_a_speakers_centres_counts() -> None:
    classifier = AamSoftmax(rows(2), sub_centres=2, scale=30.0)
    with torch.no_grad():
        classifier.weight.copy_(
            torch.eye(6)[[0, 1, 2, 3]].unflatten(0, (2, 2))  # speaker 0 has axes 0 and 1
        )
    at_second = torch.eye(6)[[1]]
    assert classifier(at_second, torch.tensor([0]), 0.0) < 1e-6
    assert classifier(at_second, torch.tensor([1]), 0.0) > 20.0


def test_a_class_begins_at_its_teachers_mean_or_at_random() -> None:
    centres = rows(3)
    centres[1] = 0.0
    weight = AamSoftmax(centres, sub_centres=3, scale=30.0).weight.detach()
    assert weight.shape == (3, 3, 6)
    torch.testing.assert_close(weight[0, 0], functional.normalize(centres[0], dim=0))
    torch.testing.assert_close(weight.norm(dim=2), torch.ones(3, 3))


def test_the_margin_grows_to_its_full_size() -> None:
    config = LossConfig(margin=0.2, margin_ramp_steps=100)
    assert [margin_at(step, config) for step in (0, 50, 100, 5000)] == pytest.approx(
        [0.0, 0.1, 0.2, 0.2]
    )
    assert margin_at(0, LossConfig(margin=0.2)) == 0.2


def test_losses_of_an_encoder_in_bf16_are_those_of_float32() -> None:
    """A cosine of 0.999 was 1, where the margin has no slope: the gradient was no number."""
    classifier = AamSoftmax(rows(6), 1, 30.0)
    embeddings = (classifier.weight[:, 0].detach() + 0.02 * rows(6, seed=1)).requires_grad_()
    batch = Batch(
        fbank=rows(6),
        mask=rows(6),
        utterances=torch.arange(6) // 2,
        labels=torch.arange(6),
        targets=rows(6, seed=2),
    )
    config = LossConfig(relational=1.0, contrastive=1.0)
    objective = Objective(lambda fbank, mask: embeddings, classifier, config)  # type: ignore[arg-type]
    expected = objective(batch, 0.2)
    with torch.autocast("cpu", torch.bfloat16):
        terms = objective(batch, 0.2)
    assert terms == expected
    terms["loss"].backward()
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()
