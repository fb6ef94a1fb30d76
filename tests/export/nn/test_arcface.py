"""ArcFace."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize, one_hot

from edge_asd_export.nn.losses import ArcFace

SCALE = 30.0
MARGIN = 0.5
ABSOLUTE = 1e-4  # float32 cosines times the scale


def head_and_batch() -> tuple[ArcFace, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    head = ArcFace(16, 5, SCALE, MARGIN)
    return head, torch.randn(8, 16), torch.arange(8) % 5


def cosines(head: ArcFace, embedding: torch.Tensor) -> torch.Tensor:
    return normalize(embedding) @ head.centres.T


def test_margin_is_added_to_the_true_class_alone() -> None:
    head, embedding, target = head_and_batch()
    label = one_hot(target, 5).float()
    cosine = cosines(head, embedding)

    logits = head.logits(embedding, label)

    enlarged = SCALE * torch.cos(cosine.acos() + MARGIN)
    expected = torch.where(label > 0, enlarged, SCALE * cosine)
    torch.testing.assert_close(logits, expected, atol=ABSOLUTE, rtol=0)


def test_loss_is_the_cross_entropy_of_the_logits() -> None:
    head, embedding, target = head_and_batch()
    label = one_hot(target, 5).float()

    expected = cross_entropy(head.logits(embedding, label), target)

    torch.testing.assert_close(head(embedding, label), expected)


def test_without_a_margin_it_is_a_cosine_softmax() -> None:
    head, embedding, target = head_and_batch()
    head.margin = 0.0

    loss = head(embedding, one_hot(target, 5).float())

    torch.testing.assert_close(loss, cross_entropy(SCALE * cosines(head, embedding), target))


def test_mixed_labels_share_the_margin_out() -> None:
    head, embedding, target = head_and_batch()
    label = 0.7 * one_hot(target, 5) + 0.3 * one_hot((target + 1) % 5, 5)
    cosine = cosines(head, embedding)

    logits = head.logits(embedding, label)

    enlarged = torch.cos(cosine.acos() + MARGIN)
    expected = SCALE * (label * enlarged + (1 - label) * cosine)
    torch.testing.assert_close(logits, expected, atol=ABSOLUTE, rtol=0)


def test_logit_of_the_true_class_falls_over_the_whole_half_turn() -> None:
    head = ArcFace(2, 1, SCALE, MARGIN)
    head.weight.data = torch.tensor([[1.0, 0.0]])
    angle = torch.linspace(0.01, math.pi - 0.01, 400)
    embedding = torch.stack([angle.cos(), angle.sin()], dim=1)

    logits = head.logits(embedding, torch.ones(400, 1))[:, 0]

    assert (logits.diff() < 0).all()


def test_beyond_a_half_turn_the_cosine_is_lowered() -> None:
    head = ArcFace(2, 1, SCALE, MARGIN)
    head.weight.data = torch.tensor([[1.0, 0.0]])

    logit = head.logits(torch.tensor([[-1.0, 0.0]]), torch.ones(1, 1))

    assert logit.item() == pytest.approx(SCALE * (-1 - MARGIN * math.sin(MARGIN)), rel=1e-5)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_gradients_are_finite_on_a_centre_and_opposite_to_it(sign: float) -> None:
    head, _, target = head_and_batch()
    embedding = (sign * head.centres[target]).requires_grad_()

    head(embedding, one_hot(target, 5).float()).backward()

    assert embedding.grad is not None
    assert head.weight.grad is not None
    assert embedding.grad.isfinite().all()
    assert head.weight.grad.isfinite().all()


def test_centres_are_unit_rows_in_the_order_of_the_classes() -> None:
    head, _, _ = head_and_batch()

    centres = head.centres

    assert centres.shape == (5, 16)
    assert not centres.requires_grad
    torch.testing.assert_close(centres.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(centres * head.weight.norm(dim=1, keepdim=True), head.weight.data)


def test_half_precision_embeddings_are_scored_in_float32() -> None:
    head, embedding, target = head_and_batch()

    loss = head(embedding.bfloat16(), one_hot(target, 5).float())

    assert loss.dtype == torch.float32
