"""Mixup of waveforms."""

from __future__ import annotations

import pytest
import torch

from edge_asd_export.nn.mixup import MixupKind, mix_batch, n_label_columns


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.eye(6)[:, None, :], torch.arange(6) % 3


@pytest.mark.parametrize("kind", ["none", "plain", "split"])
def test_labels_sum_to_one(kind: MixupKind, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    _, label = mix_batch(*batch, 3, kind, torch.Generator().manual_seed(0))

    assert label.shape == (6, n_label_columns(kind, 3))
    torch.testing.assert_close(label.sum(1), torch.ones(6))


def test_no_mixup_changes_nothing(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    audio, label = mix_batch(*batch, 3, "none", torch.Generator())

    assert torch.equal(audio, batch[0])
    assert torch.equal(label.argmax(1), batch[1])


def test_plain_mixup_shares_audio_and_label_alike(
    batch: tuple[torch.Tensor, torch.Tensor],
) -> None:
    audio, label = mix_batch(*batch, 3, "plain", torch.Generator().manual_seed(0))

    weight = audio[0, 0, 0]  # clip 0 is the unit vector of axis 0, its partner of axis 5
    torch.testing.assert_close(audio[0, 0, 5], 1 - weight)
    torch.testing.assert_close(label[0, 0], weight)
    torch.testing.assert_close(label[0, 2], 1 - weight)


def test_split_mixup_labels_mixed_clips_apart(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    audio, label = mix_batch(
        batch[0].repeat(50, 1, 1), batch[1].repeat(50), 3, "split", torch.Generator().manual_seed(0)
    )

    is_mixed = label[:, 3:].sum(1) > 0
    untouched = torch.isclose(audio.amax(2)[:, 0], torch.ones(300))
    assert torch.equal(is_mixed, ~untouched)
    assert 0.35 < is_mixed.float().mean() < 0.65
    assert label[:, :3].amax(1)[~is_mixed].min() >= 0.5
    assert label[is_mixed, :3].sum() == 0


def test_same_generator_gives_the_same_mix(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    first, second = (
        mix_batch(*batch, 3, "split", torch.Generator().manual_seed(7)) for _ in range(2)
    )

    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
