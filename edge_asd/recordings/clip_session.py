"""One run that records clips: from a sound card, files or a pipe, until there is enough."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing

from edge_asd.audio.block import Block, Gap, Source
from edge_asd.audio.source import FileSource, several
from edge_asd.bundle.manifest import Domain
from edge_asd.errors import AudioError, DataError
from edge_asd.learn.sound_progress import ShowSound, say_band, sound_progress
from edge_asd.recordings.clip_cutter import ClipCutter, CutClip, why_unusable
from edge_asd.recordings.clip_name import SAMPLE_RATE_HZ
from edge_asd.recordings.training_clips import TrainingClips

__all__ = ["ClipSession"]

_SURE_CLIPS = 6  # unusable ones, after which nobody needs to wait for more of them
_TOLD_EVERY_S = 600.0  # of sound, where no progress bar is

_log = logging.getLogger(__name__)


class ClipSession:
    """Cuts what it hears into clips, and keeps those that can be trained with.

    Parameters
    ----------
    clips : where they are added
    domain, attribute_text : that their names say
    limit : so many clips of this kind are enough, with those that are there; None: all
    accept_faults : see :func:`edge_asd.recordings.clip_cutter.why_unusable`
    """

    def __init__(
        self,
        clips: TrainingClips,
        domain: Domain,
        attribute_text: str,
        limit: int | None,
        *,
        accept_faults: bool = False,
    ) -> None:
        self._clips = clips
        self._kind = domain, attribute_text
        self._limit = limit
        self._accept_faults = accept_faults
        self._cutter = ClipCutter(clips.clip_samples, SAMPLE_RATE_HZ)
        self._takes: dict[int, str] = {}  # names by number
        self._wrong = ""  # with the latest clip
        self._file = ""  # that is heard; none: somebody waits for the sound
        self._details: dict[str, str] = {}
        self.n_new = 0
        self.n_known = 0  # whose samples were there before
        self.left_out: Counter[str] = Counter()  # clips by what was wrong with them

    @property
    def n_clips(self) -> int:
        """How many clips of this kind there are."""
        return self._clips.n_clips(*self._kind)

    @property
    def missing(self) -> int:
        """How many clips are missing."""
        return max(0, (self._limit or 0) - self.n_clips)

    @property
    def complete(self) -> bool:
        """Whether there are as many clips as were asked for."""
        return self._limit is not None and not self.missing

    def run(self, sources: Iterable[Callable[[], Source]], stop: threading.Event) -> None:
        """Hear sources, each a recording of its own, until there is enough or `stop` is set.

        Raises
        ------
        AudioError
            When sources cannot be used: the others are heard, and all of them named.
        DataError
            When most of the clips are unusable, the others being kept, or there are none.
        OutputError
            When the disk is full; what was written is kept.
        """
        errors: list[AudioError] = []
        n_sources = 0
        with sound_progress("clips", self._limit) as show:
            for open_source in sources:
                if stop.is_set() or self.complete:
                    break
                n_sources += 1
                try:
                    with closing(open_source()) as source:
                        self._hear(source, stop, show)
                except AudioError as error:
                    errors.append(error)
                self._cutter.next_recording()
        if errors:
            raise several(errors, n_sources)
        if self.left_out.total() > self._n_usable:
            raise self._refusal()
        if not (self.n_clips or stop.is_set()):
            raise self._nothing()

    def _hear(self, source: Source, stop: threading.Event, show: ShowSound) -> None:
        told, n_before = False, self._n_heard
        self._wrong = ""
        self._file = source.name if isinstance(source, FileSource) else ""
        while not (stop.is_set() or self.complete) and (item := source.read()) is not None:
            self._take_in(item)
            if isinstance(item, Block) and item.n_frames:
                told = told or say_band(source)
                show(item.audio, self.n_clips, self._wrong)
        if self._file and self._n_heard == n_before and not (stop.is_set() or self.complete):
            _log.warning("%s holds no clip of %g s", self._file, self._clips.clip_s)

    def _take_in(self, item: Block | Gap) -> None:
        if isinstance(item, Gap):
            _log.warning("a gap in the sound (%s): no clip goes across it", item.reason)
        for clip in self._cutter.push(item):
            if not self.complete:
                self._keep(clip)

    def _keep(self, clip: CutClip) -> None:
        why = why_unusable(clip.audio, SAMPLE_RATE_HZ, accept_faults=self._accept_faults)
        if why is not None:
            self._leave_out(*why)
            return
        self._wrong = ""
        known = self._clips.take_of(clip.audio)
        if known is not None:
            self.n_known += 1
            self._takes[clip.take] = known
            return
        take = self._takes.setdefault(clip.take, self._clips.new_take())
        self._clips.add(clip.audio, *self._kind, take)
        self.n_new += 1
        if self.n_new % max(1, round(_TOLD_EVERY_S / self._clips.clip_s)) == 0:
            missing = "" if self._limit is None else f", {self.missing} still missing"
            _log.info("%d clips%s", self.n_clips, missing)

    def _leave_out(self, meaning: str, detail: str) -> None:
        self.left_out[meaning] += 1
        self._details[meaning] = detail
        if meaning != self._wrong:
            where = f"{self._file}: " if self._file else ""
            _log.warning("%sa clip is left out: %s (%s)", where, meaning, detail)
        self._wrong = meaning
        if not self._file and self.left_out.total() > max(self._n_usable, _SURE_CLIPS):
            raise self._refusal()

    @property
    def _n_usable(self) -> int:
        return self.n_new + self.n_known

    @property
    def _n_heard(self) -> int:
        return self._n_usable + self.left_out.total()

    def _refusal(self) -> DataError:
        n_bad = self.left_out.total()
        why = "; ".join(f"{meaning} ({detail})" for meaning, detail in self._details.items())
        kept = "the others are kept; " if self._n_usable else ""
        return DataError(
            f"{n_bad} of {n_bad + self._n_usable} clips cannot be used: {why}; {kept}mend it, then "
            "run the same command again"
        )

    def _nothing(self) -> DataError:
        if self.n_known:
            return DataError(
                f"{self._clips.folder} has this sound already, under another domain or other "
                "attributes"
            )
        return DataError(
            f"the sound holds no clip of {self._clips.clip_s:g} s without a gap: record for "
            "longer, or name a shorter --clip-s"
        )
