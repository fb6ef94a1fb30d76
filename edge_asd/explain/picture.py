"""A picture of an alarm: what both microphones heard, beside what is normal."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from edge_asd.audio.block import CHANNELS
from edge_asd.events.event import utc_text
from edge_asd.explain.deviation import Deviation
from edge_asd.explain.spectrogram import N_BANDS

__all__ = ["draw_picture"]

_WIDTH, _HEIGHT = 1000, 640
_LEFT, _RIGHT = 62, 688  # of the spectrograms
_LEVELS_LEFT, _LEVELS_RIGHT = 710, 902  # of the mean levels beside them
_BAR_LEFT, _BAR_RIGHT = 926, 942
_TOPS, _PANEL_HEIGHT = (98, 358), 4 * 55
_INK, _PALE, _PAPER, _MARK = "#222222", "#8a8a8a", "#ffffff", "#ff3b30"
_SHADE, _NORMAL, _HEARD = "#d5d5d5", "#5a5a5a", "#3b528b"
_FREQUENCIES_HZ = (50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000)
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)  # between two marks of time
_RANGE_DB = (25.0, 80.0)  # least and most that the colours cover

# Nine points of "viridis" (Smith and van der Walt, CC0), uniform in perceived lightness.
_VIRIDIS = "440154 472d7b 3b528b 2c728e 21918c 28ae80 5ec962 addc30 fde725"
_N_COLOURS = 64  # about 1 dB each; more would only make the file larger


def draw_picture(deviation: Deviation, *, title: str, text: str, start: datetime) -> bytes:
    """Return a PNG of 1000 by 640 pixels.

    Parameters
    ----------
    deviation : what was heard, what is normal and where it deviates, as far as known
    title : one line
    text : why the alarm was raised; wrapped
    start : of the window, UTC
    """
    picture = Image.new("RGB", (_WIDTH, _HEIGHT), _PAPER)
    pen = _Pen(picture)
    pen.text((_LEFT, 10), title, size=17)
    for i, line in enumerate(textwrap.wrap(text, 140)[:2]):
        pen.text((_LEFT, 36 + 18 * i), line, size=14)
    low_db, high_db = _colour_range(deviation.levels_db)
    for i, channel in enumerate(CHANNELS):
        _spectrogram(picture, deviation.levels_db[i], low_db, high_db, _TOPS[i])
        pen.text((_LEFT, _TOPS[i] - 19), channel, size=14)
        pen.text((_LEVELS_RIGHT, _TOPS[i] - 19), "mean level, dB", size=12, anchor="ra")
        _frequency_axis(pen, deviation, _TOPS[i])
        _time_axis(pen, deviation, _TOPS[i] + _PANEL_HEIGHT)
        _level_panel(pen, deviation, i)
        _colour_bar(picture, pen, low_db, high_db, _TOPS[i])
    _mark(pen, deviation)
    pen.text((_LEFT, _HEIGHT - 22), f"seconds after {utc_text(start)}", size=12)
    _legend(pen, deviation)
    file = io.BytesIO()
    picture.quantize(255, Image.Quantize.FASTOCTREE).save(file, "PNG", optimize=True)
    return file.getvalue()


class _Pen:
    """Draws on a picture."""

    def __init__(self, picture: Image.Image) -> None:
        self.draw = ImageDraw.Draw(picture)

    def text(
        self, at: tuple[float, float], text: str, *, size: int, anchor: str = "la", ink: str = _INK
    ) -> None:
        # The font that Pillow carries: a device need not have any.
        self.draw.text(at, text, fill=ink, font=ImageFont.load_default(size), anchor=anchor)

    def line(self, points: Sequence[tuple[float, float]], ink: str, width: int = 1) -> None:
        self.draw.line(list(points), fill=ink, width=width)


def _colours() -> NDArray[np.uint8]:
    """The colour map, (_N_COLOURS, 3)."""
    points = np.array([list(bytes.fromhex(colour)) for colour in _VIRIDIS.split()], dtype=float)
    at = np.linspace(0, len(points) - 1, _N_COLOURS)
    channels = [np.interp(at, np.arange(len(points)), points[:, i]) for i in range(3)]
    return np.asarray(np.rint(np.stack(channels, axis=1)), dtype=np.uint8)


def _colour_range(levels_db: NDArray[np.float32]) -> tuple[float, float]:
    """Levels of the first and the last colour, the same for both channels."""
    low, high = np.percentile(levels_db, [2.0, 99.9])
    high = 5.0 * np.ceil(high / 5.0)
    span = min(max(high - 5.0 * np.floor(low / 5.0), _RANGE_DB[0]), _RANGE_DB[1])
    return float(high - span), float(high)


def _painted(levels_db: NDArray[np.float32], low_db: float, high_db: float) -> Image.Image:
    share = (levels_db - low_db) / (high_db - low_db)
    index = np.clip(share * _N_COLOURS, 0, _N_COLOURS - 1).astype(np.intp)
    return Image.fromarray(_colours()[index])


def _spectrogram(
    picture: Image.Image, levels_db: NDArray[np.float32], low_db: float, high_db: float, top: int
) -> None:
    image = _painted(levels_db[::-1], low_db, high_db)  # low frequencies below
    longer = image.width > _RIGHT - _LEFT
    method = Image.Resampling.BOX if longer else Image.Resampling.NEAREST
    picture.paste(image.resize((_RIGHT - _LEFT, _PANEL_HEIGHT), method), (_LEFT, top))


def _colour_bar(picture: Image.Image, pen: _Pen, low_db: float, high_db: float, top: int) -> None:
    ramp = np.linspace(high_db, low_db, _PANEL_HEIGHT, dtype=np.float32)[:, None]
    bar = _painted(np.repeat(ramp, _BAR_RIGHT - _BAR_LEFT, axis=1), low_db, high_db)
    picture.paste(bar, (_BAR_LEFT, top))
    pen.text((_BAR_LEFT, top - 19), "dBFS", size=12)
    for db in np.arange(low_db, high_db + 1, 10):
        y = top + (high_db - db) / (high_db - low_db) * _PANEL_HEIGHT
        pen.text((_BAR_RIGHT + 6, y), f"{db:.0f}", size=12, anchor="lm")


def _y(deviation: Deviation, hz: float, top: int) -> float:
    return top + (1.0 - deviation.instrument.band_at(hz) / N_BANDS) * _PANEL_HEIGHT


def _span_s(deviation: Deviation) -> float:
    return float(deviation.levels_db.shape[-1] * deviation.instrument.hop_s)


def _x(deviation: Deviation, second: float) -> float:
    return _LEFT + min(second / _span_s(deviation), 1.0) * (_RIGHT - _LEFT)


def _frequency_axis(pen: _Pen, deviation: Deviation, top: int) -> None:
    free_below = top + _PANEL_HEIGHT + 6.0
    for hz in _FREQUENCIES_HZ:
        y = _y(deviation, hz, top)
        if hz <= deviation.instrument.edges_hz[-1] and y <= free_below - 6:
            free_below = y - 6
            pen.line([(_LEFT - 5, y), (_LEFT, y)], _INK)
            pen.line([(_LEVELS_LEFT, y), (_LEVELS_RIGHT, y)], _SHADE)
            pen.text((_LEFT - 9, y), f"{hz / 1000:g}", size=12, anchor="rm")
    pen.text((_LEFT - 9, top - 19), "kHz", size=12, anchor="ra")


def _time_axis(pen: _Pen, deviation: Deviation, bottom: int) -> None:
    span_s = _span_s(deviation)
    step_s = next((step for step in _STEPS_S if span_s / step <= 12), span_s)
    for second in np.arange(0.0, span_s, step_s):
        x = _x(deviation, float(second))
        pen.line([(x, bottom), (x, bottom + 5)], _INK)
        pen.text((x, bottom + 7), f"{second:g}", size=12, anchor="ma")


def _level_panel(pen: _Pen, deviation: Deviation, channel: int) -> None:
    """Mean levels of the window, or of the time of the deviation, over the normal ones."""
    top = _TOPS[channel]
    heard = _heard_levels(deviation)[channel]
    normal = deviation.normal
    curves = [heard]
    if normal:
        mean, spread = normal.mean_db[channel], normal.spread_db[channel]
        curves += [mean - spread, mean + spread]
    low = 10.0 * np.floor(min(float(curve.min()) for curve in curves) / 10.0)
    high = 10.0 * np.ceil(max(float(curve.max()) for curve in curves) / 10.0 + 1e-6)

    def points(levels: NDArray[np.float32]) -> list[tuple[float, float]]:
        x = _LEVELS_LEFT + (levels - low) / (high - low) * (_LEVELS_RIGHT - _LEVELS_LEFT)
        y = top + (1.0 - (np.arange(N_BANDS) + 0.5) / N_BANDS) * _PANEL_HEIGHT
        return list(zip(x.tolist(), y.tolist(), strict=True))

    if normal:
        pen.draw.polygon(points(mean - spread) + points(mean + spread)[::-1], fill=_SHADE)
        pen.line(points(mean), _NORMAL)
    pen.line(points(heard), _HEARD, width=2)
    bottom = top + _PANEL_HEIGHT
    pen.draw.rectangle((_LEVELS_LEFT, top, _LEVELS_RIGHT, bottom), outline=_PALE)
    pen.text((_LEVELS_LEFT, bottom + 7), f"{low:.0f}", size=12)
    pen.text((_LEVELS_RIGHT, bottom + 7), f"{high:.0f}", size=12, anchor="ra")


def _heard_levels(deviation: Deviation) -> NDArray[np.float32]:
    """Mean levels (2, N_BANDS) of the window; of its deviation alone, where there is one."""
    instrument, region = deviation.instrument, deviation.region
    cells = instrument.cells(deviation.levels_db)
    if region:
        first, last = (round(s / instrument.cell_s) for s in (region.onset_s, region.end_s))
        cells = cells[..., first : max(last, first + 1)]
    return np.asarray(cells.mean(axis=-1))


def _mark(pen: _Pen, deviation: Deviation) -> None:
    region = deviation.region
    if region is None:
        return
    top = _TOPS[CHANNELS.index(region.channel)]
    y_high, y_low = _y(deviation, region.high_hz, top), _y(deviation, region.low_hz, top)
    left, right = _x(deviation, region.onset_s), _x(deviation, region.end_s)
    pen.draw.rectangle((left, y_high - 2, right, y_low + 2), outline=_MARK, width=2)
    pen.draw.rectangle((_LEVELS_RIGHT + 2, y_high, _LEVELS_RIGHT + 6, y_low), fill=_MARK)


def _legend(pen: _Pen, deviation: Deviation) -> None:
    y = _HEIGHT - 15
    x = float(_LEVELS_LEFT - 200)
    when = "while it deviates" if deviation.region else "in this window"
    entries = [(_HEARD, when)]
    if deviation.normal:
        which = "nearest" if deviation.normal.nearest else "all"
        entries.append((_NORMAL, f"{which} {deviation.normal.n_windows} normal windows"))
    if deviation.region:
        entries.append((_MARK, "deviation"))
    for ink, text in entries:
        pen.line([(x, y), (x + 18, y)], ink, width=3)
        pen.text((x + 24, y), text, size=12, anchor="lm")
        x += 24 + 7.0 * len(text) + 14
