"""What the wells of one plate hold."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal

from imaging.names import hash_of

Control = Literal["negcon", "poscon", "empty", "trt"]
CONTROLS: tuple[Control, ...] = ("negcon", "poscon", "empty", "trt")
_NUMBERS_OF_DOSES = ("index", "rank", "dose index")


def is_linear_unit(unit: str) -> bool:
    """Whether concentrations in a unit stand on an axis as they are, for they are numbers of doses or logarithms."""
    return unit.casefold() in _NUMBERS_OF_DOSES or unit.casefold().startswith("log")


@dataclass(frozen=True, slots=True)
class PlateMapRow:
    """What is in one well; ``None`` where the file says nothing."""

    well: str
    treatment: str | None = None
    concentration: float | None = None
    concentration_unit: str | None = None
    control: Control | None = None


@dataclass(frozen=True, slots=True)
class PlateMap:
    """The wells of one plate, by name in plate order.

    ``annotations`` hold the columns of the map, and of tables joined to it, by well and name. ``warnings`` are pairs of
    a file and what is suspicious about it.
    """

    rows: dict[str, PlateMapRow]
    annotations: dict[str, dict[str, str]] = field(default_factory=dict)
    warnings: tuple[tuple[str, str], ...] = ()

    @property
    def empty_wells(self) -> frozenset[str]:
        """Wells that hold no cells."""
        return frozenset(well for well, row in self.rows.items() if row.control == "empty")

    @property
    def digest(self) -> str:
        """Hash of the content: the same for two files that say the same."""
        rows = [asdict(row) for row in self.rows.values()]
        return hash_of([rows, self.annotations, self.warnings] if self.annotations or self.warnings else rows)
