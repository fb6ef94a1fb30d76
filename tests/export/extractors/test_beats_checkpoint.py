"""Reading published BEATs files, and refusing everything else in one clear line."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from export.beats_fakes import CFG, TINY, published, write

from edge_asd.errors import DataError, EdgeAsdError, UsageError
from edge_asd_export.extractors.beats.checkpoint import read_checkpoint


@pytest.mark.parametrize("finetuned", [True, False])
def test_weights_of_a_published_file_are_those_of_the_network(
    finetuned: bool, tmp_path: Path
) -> None:
    content = published(finetuned=finetuned)

    checkpoint = read_checkpoint(write(tmp_path / "beats.pt", content))
    network = checkpoint.network(predictor=finetuned)

    assert checkpoint.architecture.n_classes == (7 if finetuned else None)
    assert list(network.state_dict()) == list(content["model"])
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, content["model"][key], atol=0, rtol=0)


def test_a_pretrained_file_need_not_speak_of_a_predictor(tmp_path: Path) -> None:
    content = published(finetuned=False)
    for key in ("finetuned_model", "predictor_class", "predictor_dropout"):
        del content["cfg"][key]

    assert read_checkpoint(write(tmp_path / "beats.pt", content)).architecture.n_classes is None


def test_layers_and_predictor_that_are_not_built_are_left_in_the_file(tmp_path: Path) -> None:
    network = read_checkpoint(write(tmp_path / "beats.pt", published())).network(2)

    assert len(network.encoder.layers) == 2
    assert network.predictor is None
    assert network.encoder.layers[0].alpha == 6**0.25  # of the whole network's three layers


def test_a_layer_beyond_the_last_is_refused(tmp_path: Path) -> None:
    checkpoint = read_checkpoint(write(tmp_path / "beats.pt", published()))

    with pytest.raises(UsageError, match="has 3 layers, asked for layer 4"):
        checkpoint.network(4)


def test_half_precision_weights_are_widened(tmp_path: Path) -> None:
    content = published()
    content["model"] = {key: value.half() for key, value in content["model"].items()}

    network = read_checkpoint(write(tmp_path / "beats.pt", content)).network()

    assert {p.dtype for p in network.parameters()} == {torch.float32}


@pytest.mark.parametrize("value", [None, False, 0, ""])
def test_an_unknown_option_that_is_off_is_harmless(value: object, tmp_path: Path) -> None:
    content = published()
    content["cfg"]["new_option"] = value

    assert read_checkpoint(write(tmp_path / "beats.pt", content)).architecture == replace(
        TINY, n_classes=7
    )


def without(part: str, key: str) -> Callable[[dict[str, Any]], None]:
    return lambda content: content[part].pop(key)


def with_(part: str, key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda content: content[part].__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_("cfg", "activation_fn", "relu"), "cfg 'activation_fn' is 'relu' instead of 'gelu'"),
        (with_("cfg", "layer_norm_first", True), "'layer_norm_first' is True instead of False"),
        (with_("cfg", "deep_norm", torch.ones(2)), "'deep_norm' is a Tensor instead of True"),
        (without("cfg", "gru_rel_pos"), "no cfg 'gru_rel_pos'"),
        (without("cfg", "max_distance"), "no cfg 'max_distance'"),
        (with_("cfg", "encoder_layers", "3"), "'encoder_layers' is '3' instead of a size"),
        (with_("cfg", "embed_dim", True), "'embed_dim' is True instead of a size"),
        (with_("cfg", "predictor_class", 0), "'predictor_class' is 0 instead of a size"),
        (with_("cfg", "encoder_attention_heads", 5), "no multiple of 'encoder_attention_heads'"),
        (with_("cfg", "input_patch_size", 48), "'input_patch_size' = 48 splits no 128 bands"),
        (with_("cfg", "max_distance", 8), "does not go with 'max_distance' = 8"),
        (with_("cfg", "quant_n", 1024), "unknown cfg 'quant_n' is 1024"),
        (without("model", "layer_norm.bias"), "1 missing ('layer_norm.bias')"),
        (with_("model", "quantize.embed", torch.ones(2)), "1 unknown ('quantize.embed')"),
        (
            with_("model", "predictor.bias", torch.ones(8)),
            "1 of another shape ('predictor.bias'), the first (8,) instead of (7,)",
        ),
        (
            with_("model", "predictor.bias", torch.full((7,), torch.nan)),
            "1 not of finite real numbers ('predictor.bias')",
        ),
        (
            with_("model", "predictor.bias", torch.ones(7, dtype=torch.int64)),
            "1 not of finite real numbers",
        ),
        (
            with_(
                "model",
                "encoder.layers.1.self_attn.relative_attention_bias.weight",
                torch.ones(32, 4),
            ),
            "different tables of relative positions",
        ),
        (with_("cfg", "finetuned_model", False), "2 unknown ('predictor.weight', 'predictor."),
        (
            with_("cfg", "encoder_layers", 4),
            "missing ('encoder.layers.3.self_attn.grep_a', ",
        ),
    ],
)  # fmt: skip
def test_a_file_that_differs_is_refused_with_the_difference(
    change: Callable[[dict[str, Any]], None], message: str, tmp_path: Path
) -> None:
    content = published()
    change(content)

    with pytest.raises(DataError) as error:
        read_checkpoint(write(tmp_path / "beats.pt", content))

    assert message in str(error.value)
    assert "\n" not in str(error.value)


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def zipped_arrays() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, weights=np.zeros(3))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "cannot be read"),
        (b"not a file of torch", "cannot be read"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "cannot be read"),
        (b"\x89PNG\r\n\x1a\n", "cannot be read"),
        (zipped_arrays(), "cannot be read"),
        (saved(torch.nn.Linear(2, 2)), "cannot be read"),  # would run code
        (saved(published())[:-500], "cannot be read"),
        (saved(torch.zeros(3)), "it holds a Tensor"),
        (saved(torch.nn.Linear(2, 2).state_dict()), "it holds 'weight', 'bias'"),
        (saved({"cfg": [], "model": {}}), "it holds 'cfg', 'model'"),
        (saved({}), "it holds nothing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_file_of_another_kind_is_refused(raw: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    path.write_bytes(raw)

    with pytest.raises(DataError, match=message) as error:
        read_checkpoint(path)

    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["absent.pt", "."])
def test_a_path_without_a_file_is_a_usage_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no BEATs checkpoint at"):
        read_checkpoint(tmp_path / name)


@pytest.mark.parametrize("seed", range(30))
def test_a_damaged_file_is_refused_or_read_as_it_was(seed: int, tmp_path: Path) -> None:
    raw = bytearray(saved({"cfg": CFG, "model": {}}))
    rng = np.random.default_rng(seed)
    raw[rng.integers(len(raw))] ^= int(rng.integers(1, 256))
    path = tmp_path / "damaged.pt"
    path.write_bytes(raw)

    with pytest.raises(EdgeAsdError):  # as it was, it lacks its weights
        read_checkpoint(path)
