"""Sub-cluster AdaCos."""

from __future__ import annotations

import math

import torch
from torch.nn.functional import one_hot

from edge_asd_export.nn.losses import SubclusterAdaCos


def test_loss_is_small_on_the_own_centre_and_large_on_another() -> None:
    head = SubclusterAdaCos(embedding_dim=32, n_classes=4, n_subclusters=2).eval()
    label = one_hot(torch.tensor([1]), 4).float()

    own = head(head.centres[2][None], label)
    other = head(head.centres[6][None], label)

    assert own < other


def test_any_subcluster_of_the_class_will_do() -> None:
    head = SubclusterAdaCos(embedding_dim=64, n_classes=3, n_subclusters=4).eval()
    head.scale.fill_(40.0)
    label = one_hot(torch.zeros(4, dtype=torch.long), 3).float()

    losses = [head(head.centres[i][None], label[i][None]).item() for i in range(4)]

    assert max(losses) < 1e-3


def test_centres_are_never_trained() -> None:
    assert list(SubclusterAdaCos(8, 3).parameters()) == []


def test_first_scale_is_that_of_the_paper() -> None:
    assert SubclusterAdaCos(8, 3, 16).scale.item() == (
        torch.tensor(math.sqrt(2) * math.log(3 * 16 - 1)).item()
    )


def test_scale_adapts_in_training_only() -> None:
    head = SubclusterAdaCos(16, 3)
    embedding, label = torch.randn(8, 16), one_hot(torch.arange(8) % 3, 3).float()
    before = head.scale.item()

    head.eval()(embedding, label)
    unchanged = head.scale.item()
    head.train()(embedding, label)

    assert unchanged == before
    assert head.scale.item() != before


def test_scale_follows_the_papers_formula_for_one_hot_labels() -> None:
    torch.manual_seed(0)
    head = SubclusterAdaCos(16, 3, n_subclusters=1).train()
    embedding, target = torch.randn(9, 16), torch.arange(9) % 3
    cosine = torch.nn.functional.normalize(embedding) @ head.centres.T
    total = (head.scale * cosine).exp().sum(1).mean().log()
    angle = cosine[torch.arange(9), target].acos().median().clamp(max=math.pi / 4)

    head(embedding, one_hot(target, 3).float())

    torch.testing.assert_close(head.scale, total / angle.cos())
