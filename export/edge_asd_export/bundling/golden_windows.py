"""Golden windows: the sound by which a device shows that it computes what was exported.

A clip of a memory bank would not do: its score is zero, and near zero a distance magnifies
the rounding of an embedding without bound (1 - cosine of 1e-4 makes a score of 0.02). Golden
windows are sound that no bank holds, of ordinary and of high score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle import golden
from edge_asd.bundle.arrays import write_arrays
from edge_asd.bundle.bundle import Bundle
from edge_asd.scoring.extractor import Extractor, fit_length
from edge_asd_export.bundling.embedded_clips import ClipReader
from edge_asd_export.bundling.export_job import Clips
from edge_asd_export.data.clips import Clip

__all__ = ["GOLDEN_FILE", "Pairs", "golden_clips", "golden_windows", "write_golden"]

GOLDEN_FILE = "golden.npz"
Pairs = Mapping[str, Sequence[tuple[Clip, Clip]]]  # by machine, one pair of each domain
Window = NDArray[np.float32]  # (2, window_samples)


def golden_clips(clips: Clips) -> Pairs:
    """Two clips of each domain; one that is alone in its domain stands in both places."""
    pairs = {}
    for machine, own in clips.items():
        first = {clip.domain: clip for clip in reversed(own)}
        last = {clip.domain: clip for clip in own}
        pairs[machine] = [(first[domain], last[domain]) for domain in last]
    return pairs


def golden_windows(pairs: Sequence[tuple[Window, Window]]) -> list[Window]:
    """One window of ordinary score of each pair of clips, and one of high score.

    The first half of a clip followed by half of another, reversed in time, has the level and
    the score of unseen sound of the machine. With its spectrum mirrored, low for high, it is
    a sound unlike any.
    """
    ordinary = []
    for first, second in pairs:
        half = first.shape[1] // 2
        ordinary.append(np.hstack([first[:, :half], second[:, ::-1][:, half:]]))
    mirror = np.resize(np.array([1, -1], np.float32), ordinary[0].shape[1])
    return [*ordinary, ordinary[0] * mirror]


def write_golden(
    bundle: Bundle, pairs: Pairs, extractors: dict[str, Extractor], read: ClipReader
) -> None:
    """Record what the graphs of a bundle make of the golden windows of its machines.

    All else must be in its manifest already: the golden windows are those of this content alone.
    """
    arrays = golden.content(bundle.manifest)
    for machine, own in pairs.items():
        detector = bundle.detector(machine, search="exact", extractors=extractors)
        n = detector.window_samples
        windows = golden_windows([(fit_length(read(a), n), fit_length(read(b), n)) for a, b in own])
        arrays.update(golden.record(detector, windows))
    write_arrays(bundle.path / GOLDEN_FILE, arrays)
