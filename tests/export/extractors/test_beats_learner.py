"""Training of the BEATs branch: what is trained, how fast, and what is exported."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from export.beats_fakes import published, write
from pydantic import ValidationError

from edge_asd.errors import UsageError
from edge_asd_export.extractors.beats.architecture import MINI
from edge_asd_export.extractors.beats.checkpoint import read_checkpoint
from edge_asd_export.extractors.beats.learner import BeatsLearner, BeatsSettings
from edge_asd_export.extractors.beats.schedule import depth_of
from edge_asd_export.training.learner import Task
from edge_asd_export.training.training_set import ClassName

N_SAMPLES = 8_000
CLASSES = tuple(
    ClassName(name, domain, "", "near") for name in "abc" for domain in ("source", "target")
)
TASK = Task(N_SAMPLES, 1, 16_000, CLASSES)
FLOAT32 = 1e-5  # of one product of matrices to the same in another order
GRAPH = 1e-4  # of torch and ONNX Runtime through all layers


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write(tmp_path_factory.mktemp("beats") / "tiny.pt", published()))


def learner(**settings: Any) -> BeatsLearner:
    torch.manual_seed(0)
    return BeatsLearner(TASK, BeatsSettings(**settings))


def backbone_of(model: BeatsLearner) -> torch.nn.Module:
    return model.extractor.encoder.get_submodule("backbone")


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return 0.1 * torch.randn(6, 1, N_SAMPLES, generator=generator), torch.arange(6)


def train(model: BeatsLearner, n_steps: int) -> list[float]:
    audio, label = batch()
    optimizer = model.train().optimizer()
    generator = torch.Generator().manual_seed(1)
    losses = []
    for _ in range(n_steps):
        loss = model(audio, label, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def trained_names(model: BeatsLearner) -> set[str]:
    """Parameters that a training changes."""
    before = {name: value.clone() for name, value in model.named_parameters()}
    train(model, 2)
    return {name for name, value in model.named_parameters() if not value.equal(before[name])}


def test_a_mini_network_learns_its_clips() -> None:
    losses = train(learner(mixup="none", learning_rate=2e-3), 12)

    assert losses[-1] < 0.5 * losses[0]


def test_the_same_seed_gives_the_same_loss() -> None:
    first, second = (train(learner(), 2) for _ in range(2))

    assert first == second


def test_full_training_changes_every_weight(checkpoint: str) -> None:
    model = learner(checkpoint=checkpoint, layer=2)

    everything = {name for name, _ in model.named_parameters()}

    # A bias of all keys moves every logit of a query alike: the softmax does not see it.
    assert {
        name for name in everything - trained_names(model) if "k_proj.bias" not in name
    } == set()


def test_frozen_training_leaves_the_backbone_as_it_was(checkpoint: str) -> None:
    model = learner(checkpoint=checkpoint, layer=2, mode="frozen", dropout=0.5)

    changed = trained_names(model)

    assert changed
    assert not any("backbone" in name for name in changed)
    assert not backbone_of(model).training
    assert model.extractor.encoder.get_submodule("pooling").training


def test_low_rank_training_changes_the_adapters_alone(checkpoint: str) -> None:
    model = learner(
        checkpoint=checkpoint, layer=2, mode="lora", lora_rank=4, lora_projections=("q", "out")
    )

    changed = {name for name in trained_names(model) if "backbone" in name}

    assert {name.split(".self_attn.")[1] for name in changed} == {
        f"{projection}_proj.{matrix}" for projection in ("q", "out") for matrix in ("up", "down")
    }
    assert len(changed) == 2 * 4  # layers


def test_low_rank_adapters_change_nothing_at_first(checkpoint: str) -> None:
    fbank = learner(checkpoint=checkpoint, layer=2).extractor.features(batch()[0])[0]

    plain, adapted = (
        backbone_of(learner(checkpoint=checkpoint, layer=2, mode=mode)).eval()(fbank)
        for mode in ("full", "lora")
    )

    torch.testing.assert_close(adapted, plain, atol=FLOAT32, rtol=0)


def test_merged_adapters_give_what_unmerged_ones_give(checkpoint: str) -> None:
    model = learner(checkpoint=checkpoint, layer=2, mode="lora", lora_alpha=64.0, learning_rate=0.1)
    train(model, 3)
    model.eval()
    fbank = model.extractor.features(batch()[0])[0]

    exported = model.inference_extractor()

    expected = model.extractor.encoder(fbank)
    plain = learner(checkpoint=checkpoint, layer=2)
    assert set(exported.state_dict()) == set(plain.extractor.state_dict())
    assert any(name.endswith("q_proj.up") for name in model.extractor.state_dict())
    scale = expected.abs().max().item()
    torch.testing.assert_close(exported.encoder(fbank), expected, atol=FLOAT32 * scale, rtol=0)


def test_what_ships_of_a_full_training_is_the_extractor_itself() -> None:
    model = learner()

    assert model.inference_extractor() is model.extractor


def test_earlier_layers_learn_slower_and_gains_do_not_decay(checkpoint: str) -> None:
    model = learner(
        checkpoint=checkpoint, layer=2, learning_rate=1e-3, lr_decay=0.5, weight_decay=0.1
    )
    named = {id(parameter): name for name, parameter in model.named_parameters()}

    rates: dict[int, set[float]] = {}
    decayed = set()
    for group in model.optimizer().param_groups:
        for parameter in group["params"]:
            name = named.pop(id(parameter))
            rates.setdefault(depth_of(name, 2), set()).add(group["lr"])
            if group["weight_decay"]:
                decayed.add(name.rpartition("backbone.")[2])

    assert named == {}  # all of them are in one group
    assert rates == {0: {1.25e-4}, 1: {2.5e-4}, 2: {5e-4}, 3: {1e-3}}
    assert "encoder.layers.0.fc1.weight" in decayed
    assert not any(name.endswith(("bias", "grep_a", "weight_g")) for name in decayed)


def test_learning_rate_rises_in_a_line_then_falls_to_zero() -> None:
    model = learner(learning_rate=1e-3, warm_up=0.25)
    optimizer = model.optimizer()
    schedule = model.schedule(optimizer, 40)

    rates = []
    for _ in range(40):
        rates.append(optimizer.param_groups[-1]["lr"])
        optimizer.step()
        schedule.step()

    np.testing.assert_allclose(rates[:10], 1e-4 * np.arange(1, 11))
    assert np.all(np.diff(rates[10:]) < 0)
    assert rates[25] == pytest.approx(0.5e-3, rel=1e-6)
    assert optimizer.param_groups[-1]["lr"] == pytest.approx(0, abs=1e-12)


def test_centres_are_those_of_the_classes() -> None:
    centres = learner(embedding_dim=48).centres()

    assert centres.shape == (len(CLASSES), 48)
    torch.testing.assert_close(centres.norm(dim=1), torch.ones(len(CLASSES)))


def test_defaults_depend_on_the_start(checkpoint: str) -> None:
    scratch, published_start = BeatsSettings(), BeatsSettings(checkpoint=checkpoint)

    assert (scratch.variant, scratch.layer, scratch.lr_decay) == ("beats-mini", MINI.n_layers, 1.0)
    assert (published_start.variant, published_start.layer) == ("beats", 11)
    assert published_start.learning_rate < scratch.learning_rate
    assert published_start.lr_decay < 1
    assert BeatsSettings(architecture="full").variant == "beats-full-random"
    assert BeatsSettings(architecture="full").layer == 11


def test_given_settings_go_before_those_of_the_start(checkpoint: str) -> None:
    settings = BeatsSettings(checkpoint=checkpoint, learning_rate=3e-4, layer=2)

    assert (settings.learning_rate, settings.layer) == (3e-4, 2)


def test_a_record_survives_being_written_and_read(checkpoint: str) -> None:
    settings = BeatsSettings(checkpoint=checkpoint, lr_decay=0.9)

    assert BeatsSettings.model_validate_json(settings.model_dump_json()) == settings


def test_a_run_keeps_the_sizes_and_the_whole_path_of_its_checkpoint(
    checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(checkpoint).resolve()
    monkeypatch.chdir(path.parent)

    settings = BeatsSettings(checkpoint=path.name).completed()

    assert settings.checkpoint == str(path)
    assert settings.published == read_checkpoint(path).architecture


@pytest.mark.parametrize("wrong", [{"layer": 0}, {"margin": -0.1}, {"mode": "half"}, {"depth": 3}])
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BeatsSettings(**wrong)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (Task(N_SAMPLES, 1, 44_100, CLASSES), "at 16000 Hz, found 44100 Hz"),
        (Task(N_SAMPLES, 2, 16_000, CLASSES), "one channel, found a view of 2"),
        (Task(2_799, 1, 16_000, CLASSES), "needs 16 frames, found 15 in 2799 samples"),
    ],
)
def test_a_task_that_does_not_fit_is_refused(task: Task, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        BeatsLearner(task, BeatsSettings())


def test_a_layer_that_mini_lacks_is_refused() -> None:
    with pytest.raises(UsageError, match=f"has {MINI.n_layers} layers, found beats.layer = 11"):
        learner(layer=11)


def export(model: BeatsLearner, path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Write the encoder graph; return an input of three clips and torch's embeddings."""
    encoder = model.eval().inference_extractor().encoder
    fbank = model.extractor.features(batch()[0][:3])[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            encoder, (fbank[:2],), str(path), input_names=["fbank"], output_names=["embedding"],
            dynamic_axes={"fbank": {0: "batch"}, "embedding": {0: "batch"}}, opset_version=17,
            dynamo=False,
        )  # fmt: skip
    with torch.no_grad():
        return fbank, encoder(fbank)


@pytest.mark.parametrize("mode", ["full", "lora"])
def test_exported_encoder_repeats_torch(mode: str, checkpoint: str, tmp_path: Path) -> None:
    model = learner(checkpoint=checkpoint, layer=2, mode=mode)
    train(model, 2)

    fbank, expected = export(model, tmp_path / "encoder.onnx")
    session = ort.InferenceSession(str(tmp_path / "encoder.onnx"))
    (found,) = session.run(None, {"fbank": fbank.numpy()})

    np.testing.assert_allclose(found, expected.numpy(), atol=GRAPH * expected.abs().max().item())


def test_exported_encoder_stores_no_table_of_token_pairs(tmp_path: Path) -> None:
    model = learner()

    fbank, _ = export(model, tmp_path / "encoder.onnx")

    graph = onnx.load(str(tmp_path / "encoder.onnx")).graph
    n_tokens = fbank.shape[1] // 16 * 8
    assert not any(list(tensor.dims[-2:]) == [n_tokens, n_tokens] for tensor in graph.initializer)
    n_weights = sum(math.prod(tensor.dims) for tensor in graph.initializer)
    n_parameters = sum(p.numel() for p in model.extractor.encoder.parameters())
    assert n_weights < 1.01 * n_parameters


def test_weights_of_the_file_reach_the_encoder(checkpoint: str) -> None:
    expected = read_checkpoint(Path(checkpoint)).network(3)

    found = backbone_of(learner(checkpoint=checkpoint, layer=3)).state_dict()

    assert all(found[key].equal(value) for key, value in expected.state_dict().items())
