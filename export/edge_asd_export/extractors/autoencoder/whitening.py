"""Mahalanobis distances as norms: the whitening of residuals, by domain."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["domain_whitening", "whitening_matrix"]

# Of the mean variance. It only matters in a domain of a few seconds or of silence.
RIDGE = 1e-6
SMALLEST_VARIANCE = 1e-9  # dB^2; digital silence leaves no residual at all


def domain_whitening(batches: Iterable[tuple[Tensor, Tensor]], n_mels: int) -> Tensor:
    """Return the whitening (2, n_mels, n_mels) of the source and of the target domain.

    The covariances are those of the public baseline (``train`` of its
    ``networks/dcase2023t2_ae/dcase2023t2_ae.py``): the rows are the frames of each vector;
    the mean is taken off by batch and domain; the divisor is the number of vectors, not of
    their frames, less one. A domain without vectors gets the covariance of the other one.

    Parameters
    ----------
    batches : residuals (n, N_FRAMES * n_mels) of vectors in random order, and whether each
        vector is of the target domain (n,)
    """
    scatter = torch.zeros(2, n_mels, n_mels, dtype=torch.float64)
    n_vectors = [0, 0]
    for residuals, is_target in batches:
        for domain, chosen in enumerate((~is_target, is_target)):
            rows = residuals[chosen].double().reshape(-1, n_mels)
            if len(rows):
                centred = rows - rows.mean(dim=0)
                scatter[domain] += centred.T @ centred
                n_vectors[domain] += int(chosen.sum())
    known = [domain for domain in (0, 1) if n_vectors[domain]]
    return torch.stack(
        [
            whitening_matrix(scatter[domain] / max(n_vectors[domain] - 1, 1))
            for domain in (known[0], known[-1])
        ]
    )


def whitening_matrix(covariance: Tensor) -> Tensor:
    """Return W (n, n) float32 with |W r|^2 = r^T C^-1 r.

    A small ridge on the diagonal keeps a singular covariance C invertible: what it never saw
    vary counts much, not infinitely.
    """
    n = len(covariance)
    variance = covariance.trace() / n
    ridge = RIDGE * variance.clamp(min=SMALLEST_VARIANCE / RIDGE)
    identity = torch.eye(n, dtype=covariance.dtype, device=covariance.device)
    lower = torch.linalg.cholesky(covariance + ridge * identity)
    return torch.linalg.solve_triangular(lower, identity, upper=False).float()
