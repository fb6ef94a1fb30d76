"""The BEATs network: the reference outputs of the published code, and its own promises."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from export.beats_fakes import TINY
from places import SHARED
from torch import Tensor, nn

from edge_asd_export.extractors.beats.architecture import FULL
from edge_asd_export.extractors.beats.attention import position_bias, position_buckets
from edge_asd_export.extractors.beats.encoder import AttentivePooling
from edge_asd_export.extractors.beats.network import Beats
from edge_asd_export.extractors.beats.published_cfg import architecture_of

FIXTURES = SHARED / "fixtures/beats"
needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason="needs the shared folder")
ABSOLUTE = 1e-5  # float32 sums in another order; the reference itself holds 3e-6


def read_safetensors(path: Path) -> dict[str, Tensor]:
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    header.pop("__metadata__", None)
    tensors = {}
    for key, entry in header.items():
        first, end = entry["data_offsets"]
        values = np.frombuffer(raw[start + first : start + end], np.float32)
        tensors[key] = torch.from_numpy(values.copy()).reshape(entry["shape"])
    return tensors


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    with np.load(FIXTURES / "reduced_reference_outputs.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def reduced() -> Beats:
    cfg = json.loads((FIXTURES / "reduced_cfg.json").read_text())["cfg"]
    network = Beats(architecture_of(cfg), predictor=True).eval()
    network.load_state_dict(read_safetensors(FIXTURES / "reduced_state_dict.safetensors"))
    return network


@pytest.fixture(scope="module")
def outputs(reduced: Beats, reference: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What every stage of the reduced model gives for the reference input."""
    stages: dict[str, nn.Module] = {
        "patch_embedding": reduced.patch_embedding,
        "after_input_layer_norm": reduced.layer_norm,
        "after_post_extract_proj": reduced.post_extract_proj,
        "layer_result_0": reduced.encoder.layer_norm,
        "encoder_out": reduced.encoder,
        **{f"layer_result_{i}": layer for i, layer in enumerate(reduced.encoder.layers, 1)},
    }
    found: dict[str, np.ndarray] = {}
    hooks = [
        module.register_forward_hook(
            lambda _, __, output, name=name: found.__setitem__(name, output.numpy())
        )
        for name, module in [*stages.items(), ("pos_conv_out", reduced.encoder.pos_conv)]
    ]
    with torch.no_grad():
        fbank = torch.from_numpy(reference["fbank_norm"])[None]
        found["predictor_logits_mean"] = reduced.class_logits(fbank).numpy()
    for hook in hooks:
        hook.remove()
    found["pos_conv_out"] = found["pos_conv_out"].transpose(0, 2, 1)
    return found


@needs_fixtures
@pytest.mark.parametrize(
    "stage",
    [
        "patch_embedding", "after_input_layer_norm", "after_post_extract_proj", "pos_conv_out",
        "layer_result_0", "layer_result_1", "layer_result_2", "layer_result_3", "encoder_out",
        "predictor_logits_mean",
    ],
)  # fmt: skip
def test_every_stage_is_that_of_the_published_code(
    stage: str, outputs: dict[str, np.ndarray], reference: dict[str, np.ndarray]
) -> None:
    np.testing.assert_allclose(outputs[stage], reference[stage], atol=ABSOLUTE)


@needs_fixtures
def test_full_size_has_the_tensors_of_the_published_file() -> None:
    listing = json.loads((FIXTURES / "full_cpt2_state_dict_shapes.json").read_text())
    assert architecture_of(listing["cfg"]) == dataclasses.replace(FULL, n_classes=527)

    with torch.device("meta"):
        network = Beats(architecture_of(listing["cfg"]), predictor=True)

    found = {key: list(value.shape) for key, value in network.state_dict().items()}
    assert found == listing["keys"]
    assert sum(p.numel() for p in network.parameters()) == listing["unique_parameter_count"]


@needs_fixtures
def test_buckets_are_those_of_the_published_code(reference: dict[str, np.ndarray]) -> None:
    token = np.arange(96)
    with np.load(FIXTURES / "full_relative_position_buckets.npz", allow_pickle=False) as full:
        np.testing.assert_array_equal(position_buckets(full["distance"], 320, 800), full["bucket"])

    found = position_buckets(token - token[:, None], 32, 80)

    np.testing.assert_array_equal(found, reference["relative_position_bucket"])


@needs_fixtures
def test_position_bias_is_that_of_the_published_code(
    reduced: Beats, reference: dict[str, np.ndarray]
) -> None:
    found = position_bias(reduced.encoder.position_table, 96, 80).detach().numpy()

    np.testing.assert_array_equal(found, reference["position_bias_layer0"])


@needs_fixtures
def test_a_network_cut_after_a_layer_gives_that_layers_tokens(
    reduced: Beats, reference: dict[str, np.ndarray]
) -> None:
    network = Beats(dataclasses.replace(TINY, n_classes=7), n_layers=2).eval()
    weights = reduced.state_dict()
    network.load_state_dict({key: weights[key] for key in network.state_dict()})

    with torch.no_grad():
        tokens = network(torch.from_numpy(reference["fbank_norm"])[None])

    np.testing.assert_allclose(tokens.numpy(), reference["layer_result_2"], atol=ABSOLUTE)


@pytest.mark.parametrize("n_tokens", [1, 2, 7, 40])
def test_position_bias_looks_the_distance_of_key_and_query_up(n_tokens: int) -> None:
    table = nn.Embedding(32, 3)
    token = torch.arange(n_tokens)
    distance = (token - token[:, None]).numpy()  # key minus query

    bias = position_bias(table, n_tokens, 80)

    expected = table(torch.from_numpy(position_buckets(distance, 32, 80))).permute(2, 0, 1)
    torch.testing.assert_close(bias, expected, atol=0, rtol=0)


def test_eleventh_layer_is_the_last_that_is_built() -> None:
    with torch.device("meta"):
        network = Beats(FULL, n_layers=11)

    keys = network.state_dict()

    assert "encoder.layers.10.fc1.weight" in keys
    assert not any(key.startswith(("encoder.layers.11.", "predictor.")) for key in keys)
    assert sum(p.numel() for p in network.parameters()) == 83_223_388


def test_layers_share_one_table_of_positions() -> None:
    parameters = Beats(TINY).named_parameters(remove_duplicate=False)

    tables = [value for name, value in parameters if "relative_attention_bias" in name]

    assert len(tables) == 3
    assert all(table is tables[0] for table in tables)


def test_leftover_frames_change_nothing() -> None:
    network = Beats(TINY).eval()
    fbank = torch.randn(1, 47, 128)

    with torch.no_grad():
        torch.testing.assert_close(network(fbank), network(fbank[:, :32]))


def test_dropped_layers_are_skipped_clip_by_clip_and_keep_gradients() -> None:
    network = Beats(TINY, layer_drop=0.5).train()
    fbank = torch.randn(64, 32, 128)
    torch.manual_seed(0)

    tokens = network(fbank)
    tokens.sum().backward()

    plain = Beats.forward(network.eval(), fbank)
    same = (tokens - plain).abs().amax(dim=(1, 2)) < ABSOLUTE
    assert 0 < same.sum() < 64  # about one clip in eight runs all three layers
    assert all(p.grad is not None for p in network.parameters())


def test_class_logits_need_a_predictor() -> None:
    with pytest.raises(ValueError, match="without its predictor"):
        Beats(TINY).class_logits(torch.randn(1, 32, 128))


def test_pooling_of_equal_tokens_is_the_token_and_no_deviation() -> None:
    token = torch.randn(2, 1, 32)

    pooled = AttentivePooling(32).eval()(token.expand(-1, 10, -1))

    torch.testing.assert_close(pooled[:, :32], token[:, 0])
    torch.testing.assert_close(pooled[:, 32:], torch.full((2, 32), 0.01))  # root of the floor


def test_pooling_with_even_weights_gives_mean_and_deviation() -> None:
    tokens = torch.randn(2, 50, 32)
    pooling = AttentivePooling(32).eval()
    nn.init.zeros_(pooling.weigh.weight)

    pooled = pooling(tokens)

    torch.testing.assert_close(pooled[:, :32], tokens.mean(1))
    torch.testing.assert_close(pooled[:, 32:], tokens.std(1, correction=0))
