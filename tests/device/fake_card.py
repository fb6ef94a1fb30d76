"""A sound card without a sound card: ``hw:1`` that plays what a test feeds it.

ALSA's ``file`` plugin reads a raw file or FIFO in place of hardware, and one environment
variable points PortAudio at such a configuration. A file is delivered as fast as it is
read and starts again at its end. A FIFO with a feeder is as slow as real hardware; two
things matter with it: the feeder opens the FIFO for reading and writing before the
program starts, because PortAudio probes every card, and feeds exactly one of the
program's blocks at a time, because the plugin takes a short read for a whole block.
"""

from __future__ import annotations

import ctypes.util
import fcntl
import itertools
import os
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

__all__ = ["RATE_HZ", "FakeCards", "Feeder", "require_portaudio"]

RATE_HZ = 48000
BLOCK_FRAMES = 4800  # 0.1 s, what `listen` asks for by default

_ALSA_CONF = Path("/usr/share/alsa/alsa.conf")
_F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)
_PIPE_FRAMES = 1 << 14

_HW = """<{alsa_conf}>
pcm.!hw {{
  @args [ CARD DEV SUBDEV ]
  @args.CARD {{ type string default "0" }}
  @args.DEV {{ type integer default 0 }}
  @args.SUBDEV {{ type integer default -1 }}
  type plug
  slave {{
    pcm {{
      type file
      slave.pcm "null"
      file "/dev/null"
      format "raw"
      infile {{ @func concat strings [ "{folder}/card" $CARD ".raw" ] }}
    }}
    format S16_LE
    rate {rate_hz}
    channels {n_channels}
  }}
}}
"""
# Only this makes PortAudio list the card; opening "hw:N,0" ends in the definition above.
_LISTED = 'pcm."hw:{card},0" {{ type null hint {{ show on description "fake card {card}" }} }}\n'


def require_portaudio() -> None:
    """Skip the calling test where there is no PortAudio with ALSA."""
    if ctypes.util.find_library("portaudio") is None:
        pytest.skip("portaudio is not installed: apt-get install libportaudio2")
    if not _ALSA_CONF.is_file():
        pytest.skip("portaudio has no ALSA here: apt-get install libasound2-data")


class FakeCards:
    """A set of cards in a folder; give `environment` to the program under test."""

    def __init__(self, folder: Path, n_channels: int = 2) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._conf = folder / "alsa.conf"
        self._conf.write_text(
            _HW.format(alsa_conf=_ALSA_CONF, folder=folder, rate_hz=RATE_HZ, n_channels=n_channels),
            encoding="utf-8",
        )

    @property
    def environment(self) -> dict[str, str]:
        return {"ALSA_CONFIG_PATH": str(self._conf)}

    def add_file(self, card: int, audio: NDArray[np.float32]) -> None:
        """A card that repeats `audio` (n_channels, n) at 48 kHz, faster than real time."""
        self._list(card)
        self._path(card).write_bytes(_pcm16(audio))

    def add_fifo(
        self, card: int, audio: NDArray[np.float32], *, ppm: float = 0.0, repeat: bool = False
    ) -> Feeder:
        """A card that delivers `audio` (2, n) at 48 kHz in real time, once it is fed."""
        self._list(card)
        os.mkfifo(self._path(card))
        return Feeder(self._path(card), audio, ppm=ppm, repeat=repeat)

    def remove(self, card: int) -> None:
        """Unplug a card; PortAudio sees it when it looks again."""
        text = self._conf.read_text(encoding="utf-8")
        self._conf.write_text(text.replace(_LISTED.format(card=card), ""), encoding="utf-8")

    def put_back(self, card: int) -> None:
        """Plug a removed card in again."""
        self._list(card)

    def _path(self, card: int) -> Path:
        return self.folder / f"card{card}.raw"

    def _list(self, card: int) -> None:
        with self._conf.open("a", encoding="utf-8") as conf:
            conf.write(_LISTED.format(card=card))


class Feeder:
    """Feeds a FIFO one block per block period; a context manager.

    At the end of its audio it falls silent, as a card with a hung driver does.

    Parameters
    ----------
    ppm : how much too fast its clock runs
    repeat : begin again at the end of the audio
    """

    def __init__(
        self, fifo: Path, audio: NDArray[np.float32], *, ppm: float = 0.0, repeat: bool = False
    ) -> None:
        self._data = _pcm16(audio)
        self._frame_bytes = 2 * len(audio)
        self._fifo = fifo
        self._block_s = BLOCK_FRAMES / RATE_HZ / (1 + ppm * 1e-6)
        self._repeat = repeat
        self._descriptor = -1
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.stalls: list[tuple[float, float]] = []  # (after so many seconds, for so long)
        self.quit_at_s: float | None = None  # the card is at its end: every read returns at once
        self.fed_s = 0.0
        self.exhausted = threading.Event()
        self._open()

    def __enter__(self) -> Feeder:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._quit()

    def replug(self) -> None:
        """Be there again after `quit_at_s`; before the program looks at the card."""
        self._thread.join()
        self.quit_at_s = None
        self._open()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _open(self) -> None:
        self._descriptor = os.open(self._fifo, os.O_RDWR)
        fcntl.fcntl(self._descriptor, _F_SETPIPE_SZ, _PIPE_FRAMES * self._frame_bytes)

    def _quit(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _run(self) -> None:
        due_s = time.monotonic()
        for block in self._blocks():
            if self.quit_at_s is not None and self.fed_s >= self.quit_at_s - 1e-6:
                self._quit()
                break
            for at_s, for_s in self.stalls:
                if abs(self.fed_s - at_s) < BLOCK_FRAMES / RATE_HZ / 2:
                    due_s += for_s
            if self._ended.wait(max(0.0, due_s - time.monotonic())):
                return
            # PortAudio's first read takes two blocks; a third would be lost now and then.
            while self._waiting_bytes() > len(block):
                if self._ended.wait(0.01):
                    return
                due_s = max(due_s, time.monotonic())
            # There is room for it, so it goes in at once and is read at once.
            os.write(self._descriptor, block)
            self.fed_s += BLOCK_FRAMES / RATE_HZ
            due_s += self._block_s
        self.exhausted.set()

    def _blocks(self) -> Iterator[bytes]:
        block_bytes = BLOCK_FRAMES * self._frame_bytes
        starts = range(0, len(self._data), block_bytes)
        for start in itertools.cycle(starts) if self._repeat else starts:
            yield self._data[start : start + block_bytes]

    def _waiting_bytes(self) -> int:
        waiting = fcntl.ioctl(self._descriptor, termios.FIONREAD, b"\0" * 4)
        return int.from_bytes(waiting, sys.byteorder)


def _pcm16(audio: NDArray[np.float32]) -> bytes:
    return np.clip(np.round(audio.T * 32768), -32768, 32767).astype("<i2").tobytes()
