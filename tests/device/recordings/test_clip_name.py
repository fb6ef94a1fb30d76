from __future__ import annotations

from pathlib import Path

import pytest

from edge_asd.errors import DataError, UsageError
from edge_asd.recordings.clip_name import attribute_text, parse_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("section_00_source_train_normal_0000_spd_1", ("source", "train", "normal", 0, "spd_1")),
        (
            "section_00_target_test_anomaly_0199_car_A1_spd_1_mic_2_mic_1",
            ("target", "test", "anomaly", 199, "car_A1_spd_1_mic_2_mic_1"),
        ),
        (
            "section_00_source_test_normal_0003_noAttribute",
            ("source", "test", "normal", 3, "noAttribute"),
        ),
        ("section_00_source_train_normal_0007", ("source", "train", "normal", 7, "noAttribute")),
        ("section_00_0123", (None, None, None, 123, "noAttribute")),
    ],
)
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_names_of_the_challenge_are_understood(
    name: str, expected: tuple[object, ...], suffix: str
) -> None:
    parsed = parse_name(Path(name + suffix))

    assert (
        parsed.domain,
        parsed.split,
        parsed.label,
        parsed.index,
        parsed.attribute_text,
    ) == expected


@pytest.mark.parametrize(
    "name",
    ["clip.wav", "section_0_0000.wav", "section_00_source_train_broken_0000_spd_1.wav", "0000.wav"],
)
def test_other_names_are_refused_with_the_expected_form(name: str) -> None:
    with pytest.raises(DataError, match="expected section_00_"):
        parse_name(Path(name))


@pytest.mark.parametrize(
    "stem",
    [
        "section_00_target_test_anomaly_0199_spd_1",
        "section_01_source_train_normal_0000_noAttribute",
        "section_00_0123",
    ],
)
def test_a_name_is_written_as_it_is_read(stem: str) -> None:
    assert parse_name(Path(f"{stem}.wav")).stem == stem


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ([], "noAttribute"),
        (["speed=2"], "speed_2"),
        (["speed=1.5", "load=-3"], "load_-3_speed_1.5"),
        (["load=-3", "speed=1.5"], "load_-3_speed_1.5"),
    ],
)
def test_attributes_stand_in_a_name_in_one_order(attributes: list[str], text: str) -> None:
    assert attribute_text(attributes) == text


@pytest.mark.parametrize(
    "attribute", ["speed", "speed=", "=2", "a_b=2", "a=2_3", "a=1/2", "a=b=c", "a=ü", "a=2 3", ""]
)
def test_an_attribute_that_no_name_can_carry_is_refused(attribute: str) -> None:
    with pytest.raises(UsageError, match="expected KEY=VALUE"):
        attribute_text([attribute])


def test_an_attribute_twice_or_too_long_is_refused() -> None:
    with pytest.raises(UsageError, match="given twice"):
        attribute_text(["speed=2", "speed=3"])
    with pytest.raises(UsageError, match="shorten"):
        attribute_text(["speed=" + "2" * 200])
