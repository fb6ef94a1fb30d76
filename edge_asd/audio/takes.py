"""Which recordings share audio: overlapping cuts of one recording, or one noise under several.

Two recordings that share sound have one sharp peak in the cross-correlation of their whitened
sound, at the lag between them. Unrelated ones correlate like white noise: normal, of known
variance. Whitening is that of ambient noise correlation (Bensen et al. 2007, Geophysical
Journal International 169, section 2): the spectrum is made flat, then the envelope. Lines of
the spectrum are left out, because the hum of a machine is the same in all its recordings.

Two stages, because pairs are many: the sum of all channels says which pairs are worth a look,
then each channel of one recording is correlated with each of the other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Audio",
    "SharedSound",
    "WhiteSound",
    "find_takes",
    "joined",
    "most_of",
    "shared_sound",
    "whitened",
]

RATE_HZ = 2000  # sound below 1 kHz, which reverberation and drifting clocks spare
_LOW_HZ = 20.0
_PIECE = 10 * RATE_HZ  # samples; longer recordings are compared in pieces
_LEAST = RATE_HZ // 2  # samples of a piece
_TAPER = 2 * RATE_HZ  # samples; without a taper a loud line leaks into all of the spectrum
_FLOOR_HZ = 10.0  # the band whose lower quartile is the floor that lines stand out of
_LINE = 4.5  # times the floor; three bins of noise in a thousand are
_SKIRT = 3  # bins to each side of a line
_ENVELOPE = RATE_HZ // 10  # samples: a knock counts for a tenth of a second
_QUIETEST = 1e-12  # mean square; below is rounding, the same in all recordings
_DELAY = 194  # samples between the channels that are summed: inverted ones do not cancel
_CANDIDATE = 5.5  # standard deviations, first stage
# Standard deviations, second stage. A million pairs of white noise, four channel pairs of 20,000
# lags each, reach 7.5 with a chance of 0.5 %; unrelated strokes of one machine have reached 8.7.
_LIMIT = 10.0
_REFLECTIONS = RATE_HZ // 20  # samples to each side of a peak that belong to it
_N_PEAKS = 4  # two recordings may share several sounds, each at a lag of its own
_LEAST_TAKES = 5  # that recordings are cut into at the least: a fifth of them is held out at a time
_DOMINANCE = 2.0  # of the first peak over the last of them: sound that repeats itself has many
_CHUNK = 16  # pairs correlated at once

Audio = NDArray[np.float32]
Floats = NDArray[np.float64]
Spectra = NDArray[np.complex64]


@dataclass(frozen=True, slots=True)
class SharedSound:
    """Two recordings that share audio."""

    first: int
    second: int  # greater than `first`
    share: float  # correlation of the whitened sound, 0 to 1: 0.5 for cuts half of which overlap


def find_takes(recordings: Iterable[Iterable[Audio]], sample_rate_hz: int) -> list[int]:
    """Return the take of each recording: those that share audio have the same number.

    Numbers begin at 0, in the order of the first recording of each take. Where so many share
    audio that a take would have more of them than :func:`most_of` allows, takes are cut where
    they share least.

    Parameters
    ----------
    recordings : each in parts that follow each other, (n_channels, n_samples) float32; all of it
        may be one part, parts of 10 s keep memory small. One part is held at a time
    sample_rate_hz : at least 2000
    """
    n_recordings, shared = shared_sound(whitened(parts, sample_rate_hz) for parts in recordings)
    return joined(n_recordings, shared, most=most_of)


def most_of(n_recordings: int) -> int:
    """Return how many of so many recordings of a machine and domain one take may have."""
    return max(2, math.ceil(n_recordings / _LEAST_TAKES))


def joined(
    n_recordings: int,
    shared: Iterable[SharedSound],
    *,
    known: Sequence[Hashable | None] = (),
    parts: Sequence[Hashable] = (),
    most: Callable[[int], int] | None = None,
) -> list[int]:
    """Return the take of each recording, numbered in the order of their first recordings.

    What shares audio with anything of a take belongs to it.

    Parameters
    ----------
    known : names of the takes that are given, None where there is none; they are obeyed: kept
        together, and apart from each other
    parts : to which part of the set a recording belongs, its domain for example
    most : how many recordings of a part a take may have, given how many the part has. Pairs
        that share most are joined first, so larger takes are cut where they share least.
    """
    root = list(range(n_recordings))
    names = list(known) + [None] * (n_recordings - len(known))
    of_part = list(parts) or [None] * n_recordings
    sizes = [Counter([part]) for part in of_part]
    allowed = {part: most(n) for part, n in Counter(of_part).items()} if most else {}

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    def join(i: int, j: int) -> None:
        a, b = sorted((find(i), find(j)))
        total = sizes[a] + sizes[b]
        fits = all(n <= allowed.get(part, n) for part, n in total.items())
        same = names[a] is not None and names[a] == names[b]
        apart = None not in (names[a], names[b]) and not same
        if a != b and (same or (fits and not apart)):
            root[b], sizes[a] = a, total
            names[a] = names[b] if names[a] is None else names[a]

    first: dict[Hashable, int] = {}
    for i, name in enumerate(known):
        if name is not None:
            join(first.setdefault(name, i), i)
    for pair in sorted(shared, key=lambda pair: (-pair.share, pair.first, pair.second)):
        join(pair.first, pair.second)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(find(i), len(numbers)) for i in range(n_recordings)]


def whitened(parts: Iterable[Audio], sample_rate_hz: int) -> list[WhiteSound]:
    """Return what is compared of a recording; parameters are those of :func:`find_takes`."""
    return [piece for part in parts for piece in _pieces(part, sample_rate_hz)]


def shared_sound(
    recordings: Iterable[Sequence[WhiteSound]],
    *,
    progress: Callable[[int], None] = lambda n_done: None,
) -> tuple[int, list[SharedSound]]:
    """Return how many recordings there are, and all pairs that share audio.

    Silence, and what is shorter than half a second, shares nothing. A thousand recordings of
    10 s take half a minute and 200 MB on two cores.

    Parameters
    ----------
    recordings : from :func:`whitened`
    progress : called with the recordings done; the n-th is compared with all before it
    """
    pieces: list[WhiteSound] = []
    of_recording: list[int] = []
    sums: list[Spectra] = []  # (_CHUNK, n_bins) each
    best: dict[tuple[int, int], float] = {}
    n_recordings = 0
    with ThreadPoolExecutor() as pool:
        for n_recordings, own in enumerate(recordings, start=1):
            for piece in own:
                for other, share in _sharing(piece, pieces, sums, pool):
                    pair = of_recording[other], n_recordings - 1
                    best[pair] = max(share, best.get(pair, 0.0))
            for piece in own:
                if len(pieces) % _CHUNK == 0:
                    sums.append(np.zeros((_CHUNK, _PIECE // 2 + 1), np.complex64))
                sums[-1][len(pieces) % _CHUNK] = piece.sum_of_channels()
                pieces.append(piece)
                of_recording.append(n_recordings - 1)
            progress(n_recordings)
    return n_recordings, [SharedSound(*pair, share) for pair, share in sorted(best.items())]


@dataclass(frozen=True, slots=True, eq=False)
class WhiteSound:
    """Up to 10 s of a recording as they are compared with others: 80 kB of two channels."""

    white: NDArray[np.float16]  # (n_channels, n_samples) of unit variance
    n_samples: int

    def spectra(self) -> Spectra:
        """Spectra (n_channels, n_bins)."""
        return np.fft.rfft(self.white.astype(np.float32), _PIECE).astype(np.complex64)

    def sum_of_channels(self) -> Spectra:
        """Spectrum (n_bins,) of the sum of the delayed channels."""
        delays = _DELAY * np.arange(len(self.white))
        turns = np.outer(delays, np.arange(_PIECE // 2 + 1)) / _PIECE
        total = (self.spectra() * np.exp(-2j * np.pi * turns)).sum(axis=0)
        scaled: Spectra = (total / math.sqrt(len(self.white))).astype(np.complex64)
        return scaled

    def share_with(self, other: WhiteSound) -> float:
        """Correlation of the two channels that share most; 0 where chance explains it."""
        n_samples = min(self.n_samples, other.n_samples)
        share = 0.0
        for own, its in product(self.spectra().conj(), other.spectra()):
            peaks = _peaks(np.fft.irfft(own * its, _PIECE))
            if peaks[0] > _LIMIT * math.sqrt(n_samples) and peaks[0] >= _DOMINANCE * peaks[-1]:
                share = max(share, peaks[0] / n_samples)
        return share


def _pieces(audio: Audio, sample_rate_hz: int) -> Iterator[WhiteSound]:
    length = _PIECE * sample_rate_hz // RATE_HZ
    for start in range(0, audio.shape[1], length):
        low = _below_1_khz(audio[:, start : start + length], sample_rate_hz)
        if low.shape[1] >= _LEAST:
            yield WhiteSound(_whitened(low).astype(np.float16), low.shape[1])


def _below_1_khz(audio: Audio, sample_rate_hz: int) -> Floats:
    """The sound from 20 Hz to 1 kHz, (n_channels, n) at `RATE_HZ`."""
    n = max(1, audio.shape[1] * RATE_HZ // sample_rate_hz)
    spectrum = np.fft.rfft(audio.astype(np.float64))[:, : n // 2 + 1]
    spectrum[:, : math.ceil(_LOW_HZ * n / RATE_HZ)] = 0
    low: Floats = np.fft.irfft(spectrum, n) * (n / audio.shape[1])
    return low


def _whitened(low: Floats) -> Floats:
    """Flat spectrum without lines, then flat envelope; (n_channels, n) of unit variance or 0."""
    n = low.shape[1]
    n_taper = min(_TAPER, n // 4)
    taper = np.ones(n)
    taper[:n_taper] = np.sin(np.pi / 2 * (np.arange(n_taper) + 0.5) / n_taper) ** 2
    taper[n - n_taper :] = taper[:n_taper][::-1]
    spectra = np.fft.rfft(low * taper)
    first = math.ceil(_LOW_HZ * n / RATE_HZ)
    white = np.stack(
        [
            np.fft.irfft(spectrum * _flattening(np.abs(spectrum), first, n), n)
            for spectrum in spectra
        ]
    )
    for channel in white:
        power = np.convolve(channel**2, np.full(_ENVELOPE, 1 / _ENVELOPE), "same")
        channel /= np.sqrt(power + 1e-4 * power.mean() + 1e-30)
    loud = (low**2).mean(axis=1, keepdims=True) > _QUIETEST
    deviation = white.std(axis=1, keepdims=True)  # 0 where all of it is lines
    unit: Floats = np.divide(white, deviation, out=np.zeros_like(low), where=loud & (deviation > 0))
    return unit


def _flattening(magnitudes: Floats, first: int, n_samples: int) -> Floats:
    """The gain of each bin: one over the floor of its surroundings, 0 for lines."""
    width = max(8, round(_FLOOR_HZ * n_samples / RATE_HZ))
    n_bands = (len(magnitudes) - first) // width
    bands = magnitudes[first : first + n_bands * width].reshape(n_bands, width)
    middles = first + (np.arange(n_bands) + 0.5) * width
    floor = np.interp(np.arange(len(magnitudes)), middles, np.quantile(bands, 0.25, axis=1))
    lines = np.convolve(magnitudes > _LINE * floor, np.ones(2 * _SKIRT + 1), "same") > 0
    kept = ~lines & (floor > 0)
    kept[:first] = False
    return np.divide(1.0, floor, out=np.zeros_like(floor), where=kept)


def _sharing(
    piece: WhiteSound, pieces: Sequence[WhiteSound], sums: Sequence[Spectra], pool: Executor
) -> list[tuple[int, float]]:
    """Numbers of the pieces before this one that share audio with it, and how much."""
    if not pieces:
        return []
    own = piece.sum_of_channels().conj()
    highest = np.concatenate(list(pool.map(lambda chunk: _highest(own * chunk), sums)))
    n_least = np.minimum([other.n_samples for other in pieces], piece.n_samples)
    likely = highest[: len(pieces)] > _CANDIDATE * np.sqrt(n_least)
    candidates = np.flatnonzero(likely).tolist()
    shares = list(pool.map(piece.share_with, [pieces[i] for i in candidates]))
    return [(other, share) for other, share in zip(candidates, shares, strict=True) if share]


def _highest(products: Spectra) -> NDArray[np.float32]:
    lags = np.fft.irfft(products, _PIECE)  # (n, _PIECE)
    highest: NDArray[np.float32] = np.maximum(lags.max(axis=1), -lags.min(axis=1))
    return highest


def _peaks(correlation: NDArray[np.floating]) -> list[float]:
    """The highest peaks, highest first, each with what surrounds it taken away."""
    left, peaks = np.abs(correlation), []
    around = np.arange(-_REFLECTIONS, _REFLECTIONS + 1)
    for _ in range(_N_PEAKS):
        at = int(left.argmax())
        peaks.append(float(left[at]))
        left[(at + around) % len(left)] = 0
    return peaks
