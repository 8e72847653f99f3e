"""What becomes of each thing that a source holds: kept, converted or dropped, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["kept", "converted", "dropped"]


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What became of one field of one stream.

    subject: "audio 1 (aac, eng)", "video", "file". field: "stream" for the whole of it, else "language", "depth", ...
    reason: why it is not what it was, and what would keep it; mostly empty where it is kept.
    asked: the user wished it so, and need not be told.
    """

    subject: str
    field: str
    outcome: Outcome
    reason: str = ""
    asked: bool = False

    def __str__(self) -> str:
        named = self.subject if self.field == "stream" else f"{self.subject}, {self.field}"
        return f"{named}: {self.reason}" if self.reason else named


@dataclass
class Copied:
    """What became of what a source holds.

    packets: how many each copied stream has, by its index in the output; of PCM the bytes in them.
    places: the index in the output of each copied stream, by its index in the source.
    """

    fates: list[Fate] = field(default_factory=list[Fate])
    packets: dict[int, int] = field(default_factory=dict[int, int])
    places: dict[int, int] = field(default_factory=dict[int, int])

    def keep(self, subject: str, field: str = "stream", reason: str = "") -> None:
        self.fates.append(Fate(subject=subject, field=field, outcome="kept", reason=reason))

    def convert(self, subject: str, reason: str, field: str = "stream") -> None:
        self.fates.append(Fate(subject=subject, field=field, outcome="converted", reason=reason))

    def drop(self, subject: str, reason: str, field: str = "stream", *, asked: bool = False) -> None:
        self.fates.append(Fate(subject=subject, field=field, outcome="dropped", reason=reason, asked=asked))

    @property
    def kept(self) -> list[str]:
        return sentences(self.fates, "kept")

    @property
    def converted(self) -> list[str]:
        return sentences(self.fates, "converted")

    @property
    def dropped(self) -> list[str]:
        return sentences(self.fates, "dropped")


def sentences(fates: Sequence[Fate], outcome: Outcome, *, unasked: bool = False) -> list[str]:
    """One sentence for each of the fates with this outcome, each once. unasked: only what the user did not wish."""
    return list(dict.fromkeys(str(f) for f in fates if f.outcome == outcome and not (unasked and f.asked)))
