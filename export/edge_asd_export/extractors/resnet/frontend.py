"""The ResNet's input: normalised audio as a log-mel spectrogram per channel."""

from __future__ import annotations

from torch import Tensor, nn

from edge_asd_export.extractors.resnet.settings import Normalise
from edge_asd_export.nn.log_mel import LogMel

__all__ = ["HOP_LENGTH", "N_MELS", "NormalisedLogMel"]

N_FFT = 1024  # samples
HOP_LENGTH = 512  # samples
N_MELS = 128
STD_FLOOR = 2.0**-16  # half a step of 16-bit audio; less is silence, and stays silence


class NormalisedLogMel(nn.Module):
    """Zero mean and unit variance, then log-mel spectra in dB, 80 dB deep.

    Parameters
    ----------
    sample_rate_hz : of the audio
    normalise : ``channel`` treats each channel for itself. ``joint`` has one mean and one
        scale for all of them, so that the level of near against far remains to be seen.
    """

    def __init__(self, sample_rate_hz: int, normalise: Normalise) -> None:
        super().__init__()
        self.log_mel = LogMel(N_FFT, HOP_LENGTH, N_MELS, sample_rate_hz)
        self.axes = (2,) if normalise == "channel" else (1, 2)

    def forward(self, audio: Tensor) -> Tensor:
        """Map audio (B, C, n_samples) to dB (B, C, 128, 1 + n_samples // 512)."""
        centred = audio - audio.mean(self.axes, keepdim=True)
        std = centred.square().mean(self.axes, keepdim=True).sqrt()
        level_db: Tensor = self.log_mel(centred / std.clamp(min=STD_FLOOR))
        return level_db
