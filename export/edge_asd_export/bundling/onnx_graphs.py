"""Write the graphs of a trained extractor: float32 front-ends and a float32 encoder."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from edge_asd.bundle.manifest import EncoderSpec, ExtractorSpec, FeatureSpec
from edge_asd.scoring.graph_file import OPSET
from edge_asd_export.training.learner import TrainableExtractor

__all__ = ["write_extractor"]


def write_extractor(
    extractor: TrainableExtractor, name: str, bundle_dir: Path, *, network: str
) -> ExtractorSpec:
    """Write the graphs of an extractor below `bundle_dir`; batch is the only dynamic axis.

    Parameters
    ----------
    name : of the extractor in the manifest; networks ``extractor/machine`` share the
        front-ends of one length of audio, which are written once
    network : what was trained, for the manifest
    """
    folder = bundle_dir / "graphs"
    folder.mkdir(parents=True, exist_ok=True)
    extractor = extractor.eval().cpu()
    audio = torch.zeros(2, extractor.n_channels, extractor.n_samples)
    inputs = extractor.features(audio)
    features = []
    for feature, value in zip(extractor.feature_list, inputs, strict=True):
        file = None
        if feature.frontend is not None:
            stem = f"{name.partition('/')[0]}.{feature.name}.{extractor.n_samples}"
            file = f"graphs/{stem}.onnx"
            if not (bundle_dir / file).exists():
                _export(feature.frontend, (audio,), ["audio"], feature.name, bundle_dir / file)
        shape = tuple(value.shape[1:])
        features.append(FeatureSpec(name=feature.name, kind=feature.kind, file=file, shape=shape))
    cut = extractor.segments
    if cut is not None:
        inputs = tuple(value[..., : cut.n_frames].contiguous() for value in inputs)
    encoder_file = f"graphs/{name.replace('/', '.')}.encoder.onnx"
    names = [feature.name for feature in features]
    extractor.encoder.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    _export(extractor.encoder, inputs, names, "embedding", bundle_dir / encoder_file)
    return ExtractorSpec(
        network=network,
        n_samples=extractor.n_samples,
        n_channels=extractor.n_channels,
        features=tuple(features),
        segments=cut,
        encoder=EncoderSpec(file=encoder_file, precision="fp32", opset=OPSET),
        embedding_dim=extractor.embedding_dim,
        members=extractor.members,
    )


def _export(
    module: nn.Module, inputs: tuple[Tensor, ...], names: list[str], output: str, path: Path
) -> None:
    with warnings.catch_warnings():
        # The tracing exporter gives the plainest graph here (every shape but the batch is
        # a constant); it warns that it is the older of the two.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            inputs,
            str(path),
            input_names=names,
            output_names=[output],
            dynamic_axes={name: {0: "batch"} for name in [*names, output]},
            opset_version=OPSET,
            dynamo=False,
        )
    onnx.checker.check_model(str(path), full_check=True)
