"""What the shipped graphs make of the clips: embeddings, and the banks made of them."""

from __future__ import annotations

from collections.abc import Mapping

from edge_asd.scoring.extractor import Extractor
from edge_asd_export.bundling.export_job import Clips, DevLabels, ExportJob, Narrator
from edge_asd_export.bundling.networks import TrainedNetwork
from edge_asd_export.bundling.references import Embeddings, embed_clips, make_banks, split_domains
from edge_asd_export.calibration.calibration import ByDomain, Evidences, LabelledClips
from edge_asd_export.training.recipes import recipe_named
from edge_asd_export.training.tasks import network_name

__all__ = ["embed_labelled", "gather_evidence"]


def gather_evidence(
    job: ExportJob,
    networks: Mapping[str, TrainedNetwork],
    extractors: Mapping[str, Extractor],
) -> Evidences:
    """Embed the training clips and make banks of them.

    Parameters
    ----------
    networks, extractors : by network name, as trained and as shipped
    """
    job.narrator.say("embedding training clips")
    embeddings: dict[str, dict[str, ByDomain]] = {
        machine: {branch: split_domains(job.clips[machine], rows) for branch, rows in own.items()}
        for machine, own in _embed(job, job.clips, extractors).items()
    }
    banks = {
        machine: {
            branch.name: make_banks(
                own[branch.name],
                job.scorings[branch.name],
                networks[network_name(branch.extractor, machine)].centres(machine, branch.view),
            )
            for branch in job.system.branches
        }
        for machine, own in embeddings.items()
    }
    own_extractor = {b.name: recipe_named(b.extractor).per_machine for b in job.system.branches}
    return Evidences(embeddings, banks, job.scorings, own_extractor)


def embed_labelled(
    job: ExportJob, dev_labels: DevLabels, extractors: Mapping[str, Extractor]
) -> LabelledClips:
    """Embed the labelled clips that may choose the weights."""
    job.narrator.say("embedding labelled development clips")
    embeddings = _embed(job, dev_labels.clips, extractors)
    return LabelledClips(dev_labels.clips, embeddings, dev_labels.source)


def _embed(
    job: ExportJob, clips: Clips, extractors: Mapping[str, Extractor]
) -> dict[str, Embeddings]:
    """Embeddings by machine and branch."""
    counter = _Counter(job.narrator, sum(map(len, clips.values())))
    return {
        machine: embed_clips(
            own,
            job.system.branches,
            {name: extractors[network_name(name, machine)] for name in job.system.extractors},
            counter.tick,
        )
        for machine, own in clips.items()
    }


class _Counter:
    def __init__(self, narrator: Narrator, total: int) -> None:
        self._narrator, self._total, self._done = narrator, total, 0

    def tick(self) -> None:
        self._done += 1
        self._narrator.on_clip(self._done, self._total)
