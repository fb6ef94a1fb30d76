"""Pictures of alarms: readable files of bounded size, with the deviation where it is."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image

from edge_asd.explain.deviation import Deviation, NormalLevels, Region, find_deviation
from edge_asd.explain.picture import draw_picture
from edge_asd.explain.spectrogram import N_BANDS

RATE_HZ = 16000
START = datetime(2026, 11, 22, 8, 30, 5, tzinfo=UTC)
MARK = (255, 59, 48)
NORMAL = NormalLevels(
    np.full((2, N_BANDS), -60, np.float32), np.full((2, N_BANDS), 3, np.float32), 8
)


def noise(seconds: float, *, rate_hz: int = RATE_HZ) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (0.05 * rng.standard_normal((2, round(seconds * rate_hz)))).astype(np.float32)


def draw(deviation: Deviation, *, text: str = "fkie@near is far above normal") -> bytes:
    return draw_picture(deviation, title="pump   alarm pump-1   score 2.1", text=text, start=START)


def opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGB")


def marked(image: Image.Image) -> np.ndarray:
    """Pixels (rows, columns) of the deviation in the spectrograms."""
    pixels = np.asarray(image)[90:590, 62:690].astype(int)
    places: np.ndarray = np.argwhere(np.abs(pixels - MARK).sum(axis=-1) < 60)
    return np.asarray(places + np.array([90, 62]))


def with_region(channel: str) -> Deviation:
    region = Region(channel, 2.0, 5.0, 1000.0, 2000.0, 12.0)
    levels = find_deviation(noise(10.0), RATE_HZ, None).levels_db
    return Deviation(levels, RATE_HZ, NORMAL, region)


def test_a_picture_is_a_small_png_of_about_a_thousand_pixels() -> None:
    png = draw(with_region("near"))

    image = opened(png)
    assert image.size == (1000, 640)
    assert 20_000 < len(png) < 150_000


def test_a_view_that_raised_an_alarm_is_shown_below_the_channels() -> None:
    silent = np.zeros((1, 10 * RATE_HZ), np.float32)

    png = draw(with_region("near").beside("clean", silent))

    image = opened(png)
    assert image.size == (1000, 900)
    panel = np.asarray(image)[630:830, 70:680]
    assert (panel == panel[0, 0]).all()  # the lowest colour throughout
    assert len(png) < 150_000


def test_a_picture_is_drawn_at_once() -> None:
    deviation = with_region("near")
    draw(deviation)  # loads the font

    start = time.process_time()
    draw(deviation)

    assert time.process_time() - start < 3


@pytest.mark.parametrize(("channel", "top"), [("near", 98), ("far", 358)])
def test_the_deviation_is_marked_in_its_channel_and_time(channel: str, top: int) -> None:
    rows, columns = marked(opened(draw(with_region(channel)))).T

    assert top < rows.min() and rows.max() < top + 220
    span_s = 311 * 0.032  # frames of ten seconds
    assert (columns.min() - 62) / 626 * span_s == pytest.approx(2.0, abs=0.05)
    assert (columns.max() - 62) / 626 * span_s == pytest.approx(5.0, abs=0.05)


def test_without_a_region_nothing_is_marked() -> None:
    deviation = find_deviation(noise(10.0), RATE_HZ, None)

    assert len(marked(opened(draw(deviation)))) == 0


def test_louder_is_brighter() -> None:
    audio = noise(4.0)
    audio[:, 2 * RATE_HZ :] *= 100

    image = np.asarray(opened(draw(find_deviation(audio, RATE_HZ, None)))).sum(axis=-1)

    quiet, loud = image[110:300, 80:360], image[110:300, 390:680]
    assert loud.mean() > quiet.mean() + 150


@pytest.mark.parametrize(
    ("seconds", "rate_hz"), [(0.05, 16000), (1.0, 8000), (3.0, 48000), (120.0, 16000)]
)
def test_any_length_and_rate_can_be_drawn(seconds: float, rate_hz: int) -> None:
    deviation = find_deviation(noise(seconds, rate_hz=rate_hz), rate_hz, NORMAL)

    assert opened(draw(deviation)).size == (1000, 640)


def test_silence_can_be_drawn() -> None:
    deviation = find_deviation(np.zeros((2, RATE_HZ), np.float32), RATE_HZ, NORMAL)

    assert opened(draw(deviation)).size == (1000, 640)


@pytest.mark.parametrize(
    ("text", "height"),
    [("", 640), ("a very long reason " * 99, 640 + 4 * 18), ("Lüfter 3 – 漢字", 640)],
)
def test_any_text_can_be_drawn(text: str, height: int) -> None:
    assert opened(draw(with_region("far"), text=text)).size == (1000, height)


def test_a_text_of_four_lines_is_shown_whole_and_moves_the_panels_down() -> None:
    words = " ".join(["cancelling"] * 12)  # 131 letters: a line
    short = opened(draw(with_region("near"), text=words))
    long = opened(draw(with_region("near"), text=" ".join([words] * 4)))

    pixels = np.asarray(long)
    lines = [pixels[36 + 18 * i : 54 + 18 * i] for i in range(4)]
    assert all((line == lines[0]).all() for line in lines)
    assert (marked(long).min(axis=0) - marked(short).min(axis=0) == (36, 0)).all()
