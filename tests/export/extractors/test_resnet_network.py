"""The ResNet: sizes, what a unit sees, how it starts, its graph."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from edge_asd_export.extractors.resnet.network import ResidualBlock, Resnet

OF_FOLDING = 1e-4  # float32 through 16 convolutions, batch normalisation folded into them


def n_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("width", "millions"), [(128, 2.244), (64, 0.565)])
def test_with_a_one_logit_head_the_network_has_the_parameters_of_the_original(
    width: int, millions: float
) -> None:
    trunk = Resnet(n_channels=2, width=width)
    head = nn.Sequential(nn.Conv2d(4 * width, 1, 1, bias=False), nn.BatchNorm2d(1))

    assert round((n_parameters(trunk) + n_parameters(head)) / 1e6, 3) == millions


def test_a_window_takes_the_arithmetic_of_the_original() -> None:
    network = Resnet(2, width=64).eval()

    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 2, 128, 256))

    assert round(counter.get_total_flops() / 1e9, 2) == 1.19


def test_stages_have_the_shapes_of_the_original() -> None:
    network = Resnet(width=4)
    x = network.stem(torch.zeros(2, 2, 128, 256))
    shapes = [tuple(x.shape[1:])]
    for block in network.blocks:
        x = block(x)
        shapes.append(tuple(x.shape[1:]))

    assert list(dict.fromkeys(shapes)) == [
        (4, 63, 127), (4, 31, 63), (4, 15, 31), (4, 7, 15), (8, 7, 15), (16, 7, 15),
    ]  # fmt: skip


@pytest.mark.parametrize(("kernels", "n_bins"), [((3, 3), 103), ((3, 1), 87), ((1, 1), 71)])
def test_a_unit_sees_a_patch_of_the_spectrogram(kernels: tuple[int, int], n_bins: int) -> None:
    network = Resnet(width=1, stage_3_kernels=kernels).eval()
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.5)  # positive: no gradient dies or cancels
    layers = [nn.AvgPool2d(2) if isinstance(b, nn.MaxPool2d) else b for b in network.blocks]
    spectrogram = torch.ones(1, 2, 160, 160, requires_grad=True)

    nn.Sequential(network.stem, *layers)(spectrogram)[0, :, 4, 4].sum().backward()

    assert spectrogram.grad is not None
    seen = spectrogram.grad[0, 0] != 0
    assert (seen.any(1).sum().item(), seen.any(0).sum().item()) == (n_bins, n_bins)


def test_every_block_starts_as_its_shortcut() -> None:
    network = Resnet(width=4).eval()
    x = torch.rand(2, 4, 8, 8)

    same_width = next(b for b in network.blocks if isinstance(b, ResidualBlock))

    torch.testing.assert_close(same_width(x), x)
    assert same_width.conv_1.weight.std() > 0


@pytest.mark.parametrize(("embedding_dim", "expected"), [(None, 32), (5, 5)])
def test_the_embedding_has_the_stated_length(embedding_dim: int | None, expected: int) -> None:
    network = Resnet(width=8, embedding_dim=embedding_dim).eval()

    embedding = network(torch.randn(3, 2, 128, 256))

    assert embedding.shape == (3, expected)
    assert network.embedding_dim == expected


def test_the_exported_graph_gives_the_same_embeddings(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Resnet(width=4)
    for block in network.blocks:
        if isinstance(block, ResidualBlock):
            nn.init.kaiming_normal_(block.conv_2.weight)  # else the blocks do nothing
    windows = 20 * torch.randn(8, 2, 128, 256) - 30  # dB
    network(windows)  # statistics for the batch normalisation
    network.eval()
    path = tmp_path / "encoder.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two exporters, tracing is the older
        torch.onnx.export(
            network, (windows[:2],), str(path), input_names=["log_mel"],
            dynamic_axes={"log_mel": {0: "batch"}}, opset_version=17, dynamo=False,
        )  # fmt: skip

    (found,) = ort.InferenceSession(str(path)).run(None, {"log_mel": windows[:3].numpy()})

    expected = network(windows[:3]).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=OF_FOLDING, atol=OF_FOLDING)
    operators = {node.op_type for node in onnx.load(str(path)).graph.node}
    assert operators == {"Add", "Conv", "MaxPool", "ReduceMean", "Relu"}
