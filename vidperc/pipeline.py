"""A pipeline: stages chained, checked, placed on a device and closed again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from vidperc.clip import Clip
from vidperc.errors import VidpercError
from vidperc.placement import Placement
from vidperc.stages.stage import Stage, Stream


@dataclasses.dataclass(frozen=True)
class PipelineSpec:
    """Stages in the order in which frames pass them, with the name and description of the file they came from."""

    name: str
    description: str
    stages: tuple[Stage, ...]

    def settings(self) -> list[dict[str, Any]]:
        """Every stage's settings as plain data, fit for JSON."""
        return [dataclasses.asdict(stage) for stage in self.stages]  # pyright: ignore[reportArgumentType]

    @property
    def lead(self) -> int:
        """How many frames of the same shot before a segment its first frame depends on."""
        return sum(stage.past + stage.settle for stage in self.stages)

    @property
    def tail(self) -> int:
        """How many frames of the same shot after a segment its last frame depends on."""
        return sum(stage.future for stage in self.stages)

    @property
    def takes_luma(self) -> bool:
        """Every stage takes clips as YUV, so that a video need not become RGB on its way."""
        return all(stage.takes_luma for stage in self.stages)

    def check(self) -> None:
        """Refuse stages in an order that cannot work.

        Raises VidpercError naming the stage and what it lacks.
        """
        if not self.stages:
            raise VidpercError(f"pipeline {self.name}: has no stages, wanted at least one")
        available: frozenset[str] = frozenset()
        for index, stage in enumerate(self.stages, start=1):
            missing = stage.needs - available
            if missing:
                raise VidpercError(
                    f"pipeline {self.name}: stage {index} ({stage.kind}) needs {', '.join(sorted(missing))}, which no "
                    f"stage before it provides; put a stage that does in front of it"
                )
            available |= stage.provides

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the output for a source of this width and height."""
        for stage in self.stages:
            width, height = stage.output_size(width, height)
        return width, height


class Pipeline:
    """A pipeline opened on a device: networks loaded, ready to map clips.

    Called with an iterator of clips it gives the iterator of processed clips, on the same device; it may be called
    again for the next segment. Nothing is remembered between calls.
    """

    def __init__(self, spec: PipelineSpec, placement: Placement) -> None:
        spec.check()
        self.spec = spec
        self.placement = placement
        self._streams: list[Stream] = [stage.open(placement) for stage in spec.stages]

    def __call__(self, clips: Iterable[Clip]) -> Iterator[Clip]:
        import torch

        chain: Iterator[Clip] = iter(clips)
        for stream in self._streams:
            chain = stream(chain)
        while True:
            # Around each step, not around a yield: the mode would leak into whoever consumes the clips.
            with torch.inference_mode():
                ready = list(islice(chain, 1))
            if not ready:
                return
            # Handed over, not kept: what the consumer is done with need not stay in memory.
            yield ready.pop()
