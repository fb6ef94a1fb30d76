"""A picture of an alarm: what both microphones heard, beside what is normal."""

from __future__ import annotations

import io
import textwrap
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from edge_asd.audio.block import CHANNELS
from edge_asd.events.event import utc_text
from edge_asd.explain.deviation import Deviation, Region
from edge_asd.explain.spectrogram import N_BANDS

__all__ = ["draw_picture"]

_WIDTH = 1000
_LEFT, _RIGHT = 62, 688  # of the spectrograms
_LEVELS_LEFT, _LEVELS_RIGHT = 710, 902  # of the mean levels beside them
_BAR_LEFT, _BAR_RIGHT = 926, 942
_FIRST_TOP, _PANEL_STEP, _PANEL_HEIGHT = 98, 260, 4 * 55
_BELOW = 62  # the panels: marks of time, the legend
_TEXT_TOP, _LINE_HEIGHT, _ROOM, _MAX_LINES = 36, 18, 2, 6  # room: lines above the first panel
_INK, _PALE, _PAPER, _MARK = "#222222", "#8a8a8a", "#ffffff", "#ff3b30"
_SHADE, _NORMAL, _HEARD = "#d5d5d5", "#5a5a5a", "#3b528b"
_FREQUENCIES_HZ = (50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000)
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)  # between two marks of time
_RANGE_DB = (25.0, 80.0)  # least and most that the colours cover

# Nine points of "viridis" (Smith and van der Walt, CC0), uniform in perceived lightness.
_VIRIDIS = "440154 472d7b 3b528b 2c728e 21918c 28ae80 5ec962 addc30 fde725"
_N_COLOURS = 64  # about 1 dB each; more would only make the file larger


def draw_picture(deviation: Deviation, *, title: str, text: str, start: datetime) -> bytes:
    """Return a PNG of 1000 by 640 pixels; higher with a view beside the channels, or a long text.

    Parameters
    ----------
    deviation : what was heard, what is normal and where it deviates, as far as known
    title : one line
    text : why the alarm was raised; wrapped
    start : of the window, UTC
    """
    lines = textwrap.wrap(text, 140, max_lines=_MAX_LINES, placeholder=" ...")
    sheet = _Sheet(deviation, _FIRST_TOP + max(0, len(lines) - _ROOM) * _LINE_HEIGHT)
    sheet.text((_LEFT, 10), title, size=17)
    for i, line in enumerate(lines):
        sheet.text((_LEFT, _TEXT_TOP + _LINE_HEIGHT * i), line, size=14)
    names = [*CHANNELS, f"{deviation.view}, whose score is the furthest above normal"]
    for panel in range(len(deviation.levels_db)):
        sheet.spectrogram(panel, names[panel])
        sheet.colour_bar(sheet.top(panel))
        sheet.frequency_axis(sheet.top(panel))
        sheet.time_axis(sheet.top(panel) + _PANEL_HEIGHT)
        sheet.level_panel(panel)
    if deviation.region:
        sheet.mark(deviation.region)
    sheet.text((_LEFT, sheet.image.height - 22), f"seconds after {utc_text(start)}")
    sheet.legend()
    file = io.BytesIO()
    sheet.image.quantize(255, Image.Quantize.FASTOCTREE).save(file, "PNG", optimize=True)
    return file.getvalue()


class _Sheet:
    """What is drawn on, and what is drawn: one panel per channel, low frequencies below."""

    def __init__(self, deviation: Deviation, first_top: int) -> None:
        self._first_top = first_top
        height = self.top(len(deviation.levels_db) - 1) + _PANEL_HEIGHT + _BELOW
        self.image = Image.new("RGB", (_WIDTH, height), _PAPER)
        self._draw = ImageDraw.Draw(self.image)
        self._deviation = deviation
        self._instrument = deviation.instrument
        self._span_s: float = deviation.levels_db.shape[-1] * self._instrument.hop_s
        self._low_db, self._high_db = _colour_range(deviation.levels_db)

    def top(self, panel: int) -> int:
        return self._first_top + panel * _PANEL_STEP

    def text(
        self, at: tuple[float, float], text: str, *, size: int = 12, anchor: str = "la"
    ) -> None:
        # The font that Pillow carries: a device need not have any.
        self._draw.text(at, text, fill=_INK, font=ImageFont.load_default(size), anchor=anchor)

    def spectrogram(self, panel: int, name: str) -> None:
        top, width = self.top(panel), _RIGHT - _LEFT
        image = self._painted(self._deviation.levels_db[panel, ::-1])
        method = Image.Resampling.BOX if image.width > width else Image.Resampling.NEAREST
        self.image.paste(image.resize((width, _PANEL_HEIGHT), method), (_LEFT, top))
        self.text((_LEFT, top - 19), name, size=14)

    def colour_bar(self, top: int) -> None:
        low_db, high_db = self._low_db, self._high_db
        ramp = np.linspace(high_db, low_db, _PANEL_HEIGHT, dtype=np.float32)[:, None]
        bar = self._painted(np.repeat(ramp, _BAR_RIGHT - _BAR_LEFT, axis=1))
        self.image.paste(bar, (_BAR_LEFT, top))
        self.text((_BAR_LEFT, top - 19), "dBFS")
        for db in np.arange(low_db, high_db + 1, 10):
            y = top + (high_db - db) / (high_db - low_db) * _PANEL_HEIGHT
            self.text((_BAR_RIGHT + 6, y), f"{db:.0f}", anchor="lm")

    def frequency_axis(self, top: int) -> None:
        free_below = top + _PANEL_HEIGHT + 6.0
        for hz in _FREQUENCIES_HZ:
            y = self._y(hz, top)
            if hz <= self._instrument.edges_hz[-1] and y <= free_below - 6:
                free_below = y - 6
                self._draw.line([(_LEFT - 5, y), (_LEFT, y)], _INK)
                self._draw.line([(_LEVELS_LEFT, y), (_LEVELS_RIGHT, y)], _SHADE)
                self.text((_LEFT - 9, y), f"{hz / 1000:g}", anchor="rm")
        self.text((_LEFT - 9, top - 19), "kHz", anchor="ra")

    def time_axis(self, bottom: int) -> None:
        step_s = next((step for step in _STEPS_S if self._span_s / step <= 12), self._span_s)
        for second in np.arange(0.0, self._span_s, step_s):
            x = self._x(float(second))
            self._draw.line([(x, bottom), (x, bottom + 5)], _INK)
            self.text((x, bottom + 7), f"{second:g}", anchor="ma")

    def level_panel(self, panel: int) -> None:
        """Mean levels of the window, or of the time of the deviation, over the normal ones."""
        top, bottom = self.top(panel), self.top(panel) + _PANEL_HEIGHT
        heard = _heard_levels(self._deviation)[panel]
        # Bundles hold the normal levels of the channels alone.
        normal = self._deviation.normal if panel < len(CHANNELS) else None
        curves = [heard]
        if normal:
            mean, spread = normal.mean_db[panel], normal.spread_db[panel]
            curves += [mean - spread, mean + spread]
        low = 10.0 * np.floor(np.min(curves) / 10.0)
        high = 10.0 * np.ceil(np.max(curves) / 10.0 + 1e-6)

        def points(levels: NDArray[np.float32]) -> list[tuple[float, float]]:
            x = _LEVELS_LEFT + (levels - low) / (high - low) * (_LEVELS_RIGHT - _LEVELS_LEFT)
            y = top + (1.0 - (np.arange(N_BANDS) + 0.5) / N_BANDS) * _PANEL_HEIGHT
            return list(zip(x.tolist(), y.tolist(), strict=True))

        if normal:
            self._draw.polygon(points(mean - spread) + points(mean + spread)[::-1], fill=_SHADE)
            self._draw.line(points(mean), _NORMAL)
        self._draw.line(points(heard), _HEARD, width=2)
        self._draw.rectangle((_LEVELS_LEFT, top, _LEVELS_RIGHT, bottom), outline=_PALE)
        self.text((_LEVELS_LEFT, bottom + 7), f"{low:.0f}")
        self.text((_LEVELS_RIGHT, bottom + 7), f"{high:.0f}", anchor="ra")
        self.text((_LEVELS_RIGHT, top - 19), "mean level, dB", anchor="ra")

    def mark(self, region: Region) -> None:
        top = self.top(CHANNELS.index(region.channel))
        y_high, y_low = self._y(region.high_hz, top), self._y(region.low_hz, top)
        left, right = self._x(region.onset_s), self._x(region.end_s)
        self._draw.rectangle((left, y_high - 2, right, y_low + 2), outline=_MARK, width=2)
        self._draw.rectangle((_LEVELS_RIGHT + 2, y_high, _LEVELS_RIGHT + 6, y_low), fill=_MARK)

    def legend(self) -> None:
        normal, region = self._deviation.normal, self._deviation.region
        entries = [(_HEARD, "while it deviates" if region else "in this window")]
        if normal:
            which = "nearest" if normal.nearest else "all"
            entries.append((_NORMAL, f"{which} {normal.n_windows} normal windows"))
        if region:
            entries.append((_MARK, "deviation"))
        x, y = _LEVELS_LEFT - 200.0, self.image.height - 15
        for ink, text in entries:
            self._draw.line([(x, y), (x + 18, y)], ink, width=3)
            self.text((x + 24, y), text, anchor="lm")
            x += 24 + 7.0 * len(text) + 14

    def _painted(self, levels_db: NDArray[np.float32]) -> Image.Image:
        share = (levels_db - self._low_db) / (self._high_db - self._low_db)
        index = np.clip(share * _N_COLOURS, 0, _N_COLOURS - 1).astype(np.intp)
        return Image.fromarray(_colours()[index])

    def _x(self, second: float) -> float:
        return _LEFT + min(second / self._span_s, 1.0) * (_RIGHT - _LEFT)

    def _y(self, hz: float, top: int) -> float:
        return top + (1.0 - self._instrument.band_at(hz) / N_BANDS) * _PANEL_HEIGHT


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
    span = np.clip(high - 5.0 * np.floor(low / 5.0), *_RANGE_DB)
    return float(high - span), float(high)


def _heard_levels(deviation: Deviation) -> NDArray[np.float32]:
    """Mean levels (n_panels, N_BANDS) of the window; of its deviation alone, where there is one."""
    instrument, region = deviation.instrument, deviation.region
    cells = instrument.cells(deviation.levels_db)
    if region:
        first, last = (round(s / instrument.cell_s) for s in (region.onset_s, region.end_s))
        cells = cells[..., first : max(last, first + 1)]
    return np.asarray(cells.mean(axis=-1))
