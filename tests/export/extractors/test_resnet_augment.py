"""What a training window goes through, and that a seed decides it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from edge_asd_export.extractors.resnet.augment import mask_bands, mask_frames, mix, random_windows

OF_ROUNDING = 1e-5
Mask = Callable[[Tensor, int, torch.Generator], Tensor]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def spectrograms(n_clips: int = 64, n_frames: int = 48) -> Tensor:
    return torch.randn(n_clips, 2, 16, n_frames, generator=seeded(1)) - 50


def test_windows_are_pieces_of_their_clips_at_places_of_their_own() -> None:
    frame_numbers = torch.arange(20.0).expand(200, 2, 16, 20)

    windows = random_windows(frame_numbers, 12, seeded())

    assert windows.shape == (200, 2, 16, 12)
    assert (windows.diff(dim=3) == 1).all()
    assert windows[:, 0, 0, 0].unique().tolist() == list(range(9))


def test_a_clip_of_one_window_is_that_window() -> None:
    clips = spectrograms(4, 12)

    assert torch.equal(random_windows(clips, 12, seeded()), clips)


def test_labels_are_mixed_like_the_spectrograms() -> None:
    n_clips = 6
    identity = torch.eye(n_clips)
    clips = identity[:, None, :, None].expand(-1, 2, -1, 4)  # each band is one clip's own

    mixed, label = mix(clips, identity, 1.0, seeded())

    torch.testing.assert_close(mixed[:, 0, :, 0], label)
    torch.testing.assert_close(label.sum(1), torch.ones(n_clips))
    partner = identity.flip(0).bool()
    assert (label[~(identity.bool() | partner)] == 0).all()
    assert (label[partner] > 0).all()


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.3, 0.25, 0.35), (1.0, 1, 1)])
def test_the_stated_share_of_clips_is_mixed(share: float, low: float, high: float) -> None:
    label = functional.one_hot(torch.arange(2).repeat(1000), 2).float()  # partners differ

    _, mixed = mix(torch.zeros(2000, 1, 1, 1), label, share, seeded())

    assert low <= (mixed != label).any(1).float().mean() <= high


@pytest.mark.parametrize(("mask", "axis"), [(mask_bands, 2), (mask_frames, 3)])
def test_a_mask_is_one_stripe_through_both_channels_at_the_mean_level(
    mask: Mask, axis: int
) -> None:
    clips = spectrograms()

    masked = mask(clips, 5, seeded())

    is_masked = masked != clips
    other = 5 - axis
    assert torch.equal(is_masked.any(1), is_masked.all(1))
    assert torch.equal(is_masked.any(other), is_masked.all(other))
    stripe = is_masked.any(1).any(other - 1).int()  # (B, n)
    assert set(stripe.sum(1).tolist()) == set(range(6))
    assert (functional.pad(stripe, (1, 1)).diff(dim=1).abs().sum(1) <= 2).all()
    mean = clips.mean((2, 3), keepdim=True).expand_as(clips)
    torch.testing.assert_close(masked[is_masked], mean[is_masked], rtol=OF_ROUNDING, atol=0)


@pytest.mark.parametrize("mask", [mask_bands, mask_frames])
def test_a_mask_of_no_width_changes_nothing(mask: Mask) -> None:
    clips = spectrograms()

    assert torch.equal(mask(clips, 0, seeded()), clips)


@pytest.mark.parametrize("mask", [mask_bands, mask_frames])
def test_a_mask_reaches_both_ends(mask: Mask) -> None:
    is_masked = (mask(spectrograms(2000, 16), 3, seeded()) != spectrograms(2000, 16)).any(1)

    assert is_masked[:, 0, 0].any()
    assert is_masked[:, -1, -1].any()
