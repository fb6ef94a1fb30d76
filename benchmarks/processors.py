"""What other processors and versions of ONNX Runtime make of a bundle: how much scores differ.

On the computer that exported it, record what a bundle makes of some clips; on another one, with
the same bundle and the device package alone, replay them:

    python -m benchmarks.processors record BUNDLE DATA windows.npz
    python -m benchmarks.processors compare BUNDLE windows.npz

DATA is a folder of machine folders with test clips; the bundle's own golden windows are replayed
as well. Prints one row of the table in docs/results.md for each of the two.
"""

from __future__ import annotations

import argparse
import platform
from pathlib import Path

import onnxruntime

from edge_asd.audio.decode import read_audio
from edge_asd.bundle import golden
from edge_asd.bundle.arrays import read_arrays, write_arrays
from edge_asd.bundle.bundle import Bundle
from edge_asd.scoring.extractor import fit_length

N_CLIPS = 4  # of each machine, evenly over its test clips


def record(bundle: Bundle, data: Path, out: Path) -> None:
    """Write what the bundle makes of test clips of its machines."""
    extractors = bundle.extractors()
    arrays = {}
    for machine in bundle.manifest.machines:
        clips = sorted((data / machine / "test").iterdir())
        clips = clips[:: max(1, len(clips) // N_CLIPS)][:N_CLIPS]
        detector = bundle.detector(machine, search="exact", extractors=extractors)
        windows = [fit_length(read_audio(clip)[0], detector.window_samples) for clip in clips]
        arrays.update(golden.record(detector, windows))
    write_arrays(out, arrays)


def compare(bundle: Bundle, file: Path) -> str:
    """A row: windows, largest 1 - cosine of an embedding, largest difference of a score."""
    extractors, arrays = bundle.extractors(), read_arrays(file, "golden windows")
    found = [
        golden.compare(bundle.detector(machine, search="exact", extractors=extractors), arrays)
        for machine in bundle.manifest.machines
    ]
    embedding = 1 - min(own.min_cosine for own in found)
    score = max(own.max_score_difference for own in found)
    return f"{sum(own.n_windows for own in found)} | {embedding:.1e} | {score:.1e}"


def main() -> None:
    """Record or compare, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("record", "compare"))
    parser.add_argument("bundle", type=Path)
    parser.add_argument("files", type=Path, nargs="+", help="DATA and windows.npz, or windows.npz")
    parser.add_argument("--processor", default=platform.machine(), help="its name in the table")
    args = parser.parse_args()
    bundle = Bundle.open(args.bundle)
    if args.what == "record":
        data, out = args.files
        record(bundle, data, out)
        return
    own = bundle.path / bundle.manifest.golden.file
    for name, file in [("golden", own), *((file.stem, file) for file in args.files)]:
        found = f"{args.bundle.name} | {args.processor} | {onnxruntime.__version__} | {name}"
        print(f"| {found} | {compare(bundle, file)} |")


if __name__ == "__main__":
    main()
