"""What a job tells whoever waits for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vidperc.engine.plan import Plan
from vidperc.video.cuts import Cut


class Watcher:
    """What a job tells while it runs; every method may be overridden, none must be."""

    def said(self, text: str) -> None:
        """Something that the user should know."""

    def warned(self, text: str) -> None:
        """Something about the source, or beside the output, that the user should see."""

    def chose(self, text: str) -> None:
        """Which network was chosen for this source, and why."""

    def scanned(self, frames: int, total: int) -> None:
        """So many frames of all were looked at for cuts."""

    def found(self, cuts: Sequence[Cut], frames: int, seconds: float) -> None:
        """The cuts of so many frames were found."""

    def planned(self, plan: Plan, finished: int) -> None:
        """The plan stands; so many of its frames were finished by an earlier run."""

    def progressed(self, frames: int, seconds: Mapping[str, float]) -> None:
        """So many frames are done in all; CPU and waiting seconds by part, over all workers."""

    def joining(self) -> None:
        """Every segment is there; the output is being written and verified."""
