"""How closely this computer repeats golden windows, and what to do where it does not.

How far it may be away is stated here and not in the bundle.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass

from edge_asd.bundle.manifest import Manifest
from edge_asd.errors import BundleError

__all__ = ["FLOAT32", "Agreement", "GoldenTolerance", "processor_family", "require", "tolerance"]

_FAMILIES = {"x86_64": "x86-64", "amd64": "x86-64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True, slots=True)
class GoldenTolerance:
    """How far another computer may be from the golden outputs."""

    min_cosine: float  # of an embedding
    max_score_difference: float  # relative; absolute for scores below one


# Some times what other processors and versions of ONNX Runtime differ by: docs/results.md, "The
# same scores on other processors".
FLOAT32 = GoldenTolerance(1 - 1e-6, 1e-4)
_INT8 = GoldenTolerance(0.998, 0.03)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How closely this computer repeats the golden outputs of one machine."""

    machine: str
    n_windows: int
    min_cosine: float  # of the embeddings, over windows and branches
    max_score_difference: float  # relative; absolute for scores below one
    # Whether a golden window is a reference of its bank, as in bundles of old: a distance near
    # zero magnifies the rounding of an embedding.
    at_a_reference: bool = False


def tolerance(manifest: Manifest) -> GoldenTolerance:
    """Return what is allowed to graphs of the precision that a bundle has."""
    return _INT8 if _has_int8(manifest) else FLOAT32


def require(agreement: Agreement, manifest: Manifest) -> None:
    """Refuse an agreement that is looser than the precision of the graphs allows.

    Raises
    ------
    BundleError
        With what has not been tried yet; also when an output is not a number.
    """
    allowed, where = tolerance(manifest), _where(manifest)
    if not agreement.min_cosine >= allowed.min_cosine:
        raise BundleError(
            f"golden embeddings of {agreement.machine} differ {where}: cosine "
            f"{agreement.min_cosine:.6f}, expected at least {allowed.min_cosine}; "
            f"{_advice(manifest)}"
        )
    if not agreement.max_score_difference <= allowed.max_score_difference:
        advice = (
            "its golden windows are references, whose scores of zero magnify rounding: "
            "export the bundle again"
            if agreement.at_a_reference
            else _advice(manifest)
        )
        raise BundleError(
            f"golden scores of {agreement.machine} differ {where} by "
            f"{agreement.max_score_difference:.2e}, expected at most "
            f"{allowed.max_score_difference:.2e}; {advice}"
        )


def processor_family() -> str:
    """Family of this computer's processor, as ``target`` of a manifest names it."""
    machine = platform.machine().lower()
    return _FAMILIES.get(machine, machine)


def _where(manifest: Manifest) -> str:
    """What is different here: another ONNX Runtime, or nothing but the computer."""
    recorded_by, installed = _runtimes(manifest)
    if installed == recorded_by:
        return "on this computer"
    return f"under onnxruntime {installed} from those of onnxruntime {recorded_by}"


def _advice(manifest: Manifest) -> str:
    """What may help and has not been done when this bundle was made; the likeliest first."""
    recorded_by, installed = _runtimes(manifest)
    advice = []
    if installed != recorded_by:
        advice.append(
            f"install onnxruntime {recorded_by}, or export it where {installed} is installed"
        )
    if manifest.target != (family := processor_family()) and family in _FAMILIES.values():
        advice.append(f"export it with --target {family} (it was made for {manifest.target})")
    if _has_int8(manifest):
        advice.append("export it with --quantize none")
    return ", or ".join(advice) or (
        "float32 for this processor, recorded by this onnxruntime: test the computer's memory"
    )


def _runtimes(manifest: Manifest) -> tuple[str, str]:
    """Versions of ONNX Runtime that recorded the golden windows, and that is installed."""
    import onnxruntime

    installed: str = onnxruntime.__version__
    return manifest.tools.get("onnxruntime", installed), installed


def _has_int8(manifest: Manifest) -> bool:
    return any(spec.encoder.precision == "int8" for spec in manifest.extractors.values())
