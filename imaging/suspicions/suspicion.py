"""One suspicion about a plate as a whole."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from imaging.verdicts import Finding

Kind = Literal["swapped channels", "moved plate", "same images", "same look", "several acquisitions"]


@dataclass(frozen=True, slots=True)
class Compared:
    """What a plate is compared with: addresses of its own portrait, and of those of other plates."""

    own: str = ""
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A row of the table ``suspicions``.

    Parameters
    ----------
    kind
        What is suspected.
    points_to
        What it is about: the channel that looks like nuclei, the change of place, the other plate.
    evidence
        What was seen, in words and numbers, and what to check.
    score, threshold
        The number that decides, and from which on it does; see ``docs/suspicions.md``.
    """

    kind: Kind
    points_to: str
    evidence: str
    score: float
    threshold: float

    @property
    def finding(self) -> Finding:
        """The warning that stands among the plate's reasons."""
        return Finding("warn", f"suspicions of {self.kind}", "the plate", self.evidence)

    @property
    def row(self) -> dict[str, Any]:
        """The row, without the columns that say which plate it belongs to."""
        return asdict(self)
