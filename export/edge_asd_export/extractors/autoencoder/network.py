"""The autoencoder of the challenge's baseline, and the two scores that it gives a clip.

Architecture and scores of the public ``dcase2023_task2_baseline_ae`` (its
``networks/dcase2023t2_ae`` and ``networks/criterion/mahala.py``), which the challenges of
2023 to 2026 share: Harada et al., "First-shot anomaly sound detection for machine condition
monitoring: a domain generalization baseline", EUSIPCO 2023.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_linear_bn_eval

__all__ = ["N_FRAMES", "Autoencoder", "frame_vectors"]

N_FRAMES = 5  # consecutive frames that make one vector
WIDTHS = (128, 128, 128, 128, 8, 128, 128, 128, 128)
BN_EPS = 1e-3
BN_MOMENTUM = 0.01


class Autoencoder(nn.Module):
    """Log-mel frames in; mean squared error and selective Mahalanobis distance out.

    The second score is the smaller one of the distances under the residual covariances of
    the two domains. It is the distance of the MEAN residual of a clip from zero, not the
    mean of its frames' distances: the public code averages the whole matrix of products
    between any two residuals, and published figures are of that form.

    Attributes
    ----------
    whitening : (2, n_mels, n_mels) float32, of the source and of the target domain; the
        squared norm of a whitened residual is its squared Mahalanobis distance
    """

    whitening: Tensor
    embedding_dim = 2  # the scores

    def __init__(self, n_mels: int) -> None:
        super().__init__()
        self.n_mels = n_mels
        n_vector = N_FRAMES * n_mels
        self.layers = nn.Sequential()
        for n_in, n_out in zip((n_vector, *WIDTHS), WIDTHS, strict=False):
            self.layers.append(nn.Linear(n_in, n_out))
            self.layers.append(nn.BatchNorm1d(n_out, BN_EPS, BN_MOMENTUM))
            self.layers.append(nn.ReLU())
        self.layers.append(nn.Linear(WIDTHS[-1], n_vector))
        self.register_buffer("whitening", torch.eye(n_mels).repeat(2, 1, 1))

    def reconstruct(self, vectors: Tensor) -> Tensor:
        """Map frame vectors (n, N_FRAMES * n_mels) to what the network makes of them."""
        reconstructed: Tensor = self.layers(vectors)
        return reconstructed

    def forward(self, frames: Tensor) -> Tensor:
        """Map log-mel frames (B, 1, n_mels, n_frames) of clips to their two scores (B, 2)."""
        vectors = frame_vectors(frames)  # (B, n_vectors, N_FRAMES * n_mels)
        flat = vectors.flatten(0, 1)
        n_rows = int(vectors.shape[1]) * N_FRAMES  # a plain number: constant when exported
        residual = (flat - self.reconstruct(flat)).reshape(-1, n_rows, self.n_mels)
        squared_error = residual.square().mean(dim=(1, 2))  # (B,)
        mean = residual.mean(dim=1)  # (B, n_mels)
        # Products and sums: a matrix product would be quantized with the layers.
        whitened = (self.whitening * mean[:, None, None]).sum(dim=3)  # (B, 2, n_mels)
        distance = whitened.square().sum(dim=2).amin(dim=1)  # (B,)
        return torch.stack([squared_error, distance], dim=1)

    def folded(self) -> Autoencoder:
        """Return the same function with each normalisation folded into the layer before it."""
        folded = copy.deepcopy(self).eval()
        layers = folded.layers
        folded.layers = nn.Sequential()
        for layer in layers:
            if isinstance(layer, nn.BatchNorm1d):
                linear = cast(nn.Linear, folded.layers[-1])
                folded.layers[-1] = fuse_linear_bn_eval(linear, layer)
            else:
                folded.layers.append(layer)
        return folded


def frame_vectors(frames: Tensor) -> Tensor:
    """Return every run of `N_FRAMES` frames, one frame after the other.

    Parameters
    ----------
    frames : (B, 1, n_mels, n_frames)

    Returns
    -------
    (B, n_frames - N_FRAMES + 1, N_FRAMES * n_mels)
    """
    n_vectors = int(frames.shape[3]) - N_FRAMES + 1  # a plain number, too
    runs = [frames[:, 0, :, start : start + n_vectors] for start in range(N_FRAMES)]
    return torch.cat(runs, dim=1).transpose(1, 2)
