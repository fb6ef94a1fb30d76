"""Log-mel spectrograms as librosa defines them, as a graph that exports to plain ONNX."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_asd.scoring.mel import mel_filter_bank
from edge_asd_export.nn.frontend import windowed_dft

__all__ = ["LogMel"]


class LogMel(nn.Module):
    """Mel power spectrograms in dB, frames centred on every `hop_length`-th sample.

    ``librosa.feature.melspectrogram`` (power 2, periodic Hann window, Slaney scale and
    area normalisation) and ``librosa.power_to_db`` (reference 1) of librosa 0.11. The
    floor of `top_db` hangs below the maximum of a whole clip, all its channels together:
    what librosa does with the array of a multi-channel file.

    Parameters
    ----------
    n_fft, hop_length : samples
    n_mels : mel bands
    sample_rate_hz : of the audio
    f_min_hz, f_max_hz : outer edges of the first and the last band
    amin : power below which all is the same
    top_db : the quietest bin, in dB below the clip's loudest; None for no such floor
    pad : how half a frame is added at either end; librosa's default was ``reflect``
        before version 0.9
    """

    kernel: Tensor
    mel: Tensor

    def __init__(
        self,
        n_fft: int = 1024,
        hop_length: int = 512,
        n_mels: int = 128,
        sample_rate_hz: int = 16_000,
        f_min_hz: float = 0.0,
        f_max_hz: float = 8_000.0,
        amin: float = 1e-10,
        top_db: float | None = 80.0,
        pad: Literal["constant", "reflect"] = "constant",
    ) -> None:
        super().__init__()
        self.hop_length = hop_length
        self.padding = (n_fft // 2, n_fft // 2)
        self.pad = pad
        self.amin = amin
        self.top_db = top_db
        # A leading axis of one more: the kernel slides over the channels, too.
        self.register_buffer("kernel", windowed_dft(n_fft)[:, None], persistent=False)
        mel = mel_filter_bank(
            n_mels, n_fft, sample_rate_hz, f_min_hz, f_max_hz, scale="slaney", normalise="area"
        )
        self.register_buffer("mel", torch.from_numpy(mel), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """Map audio (B, C, n_samples) to dB (B, C, n_mels, 1 + n_samples // hop_length)."""
        padded = functional.pad(audio, self.padding, mode=self.pad)[:, None]
        parts = functional.conv2d(padded, self.kernel, stride=(1, self.hop_length))
        real, imag = parts.chunk(2, dim=1)
        power = (real.square() + imag.square()).transpose(1, 2)  # (B, C, n_bins, n_frames)
        level_db = 10 * torch.matmul(self.mel, power).clamp(min=self.amin).log10()
        if self.top_db is None:
            return level_db
        floor_db = level_db.amax(dim=(1, 2, 3), keepdim=True) - self.top_db
        return torch.maximum(level_db, floor_db)
