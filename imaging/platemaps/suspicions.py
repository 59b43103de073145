"""What makes a plate map suspicious but not wrong: said by ``platestream check`` and on the plate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from imaging.platemaps.described import DescribedWell
from imaging.platemaps.faults import Faults
from imaging.platemaps.plate_map import PlateMapRow
from imaging.wells import Well

if TYPE_CHECKING:
    from imaging.experiment import Experiment

_SHOWN = 6


def suspect_units(wells: Collection[DescribedWell], file: str, faults: Faults) -> None:
    """Concentrations of one file without a unit, or in several; nothing is converted."""
    units = Counter(item.row.concentration_unit for item in wells if item.row.concentration is not None)
    without = units.pop(None, 0)
    if without and not units:
        faults.warn(file, 0, "concentrations have no unit; give concentration_unit, such as uM, or a column unit")
    elif without:
        faults.warn(
            file, 0, f"the concentrations of {without} wells have no unit, others are in {' and '.join(_sorted(units))}"
        )
    if len(units) > 1:
        shown = " and ".join(f"{unit} ({units[unit]} wells)" for unit in _sorted(units))
        faults.warn(file, 0, f"concentrations are in {shown}; nothing is converted: write them in one unit")


def suspect_plate(rows: Mapping[Well, PlateMapRow], experiment: Experiment, file: str, faults: Faults) -> None:
    """Imaged wells that no map describes, and controls that statistics need and no map names."""
    unmatched = [well for well in experiment.layout.imaged_wells if well not in rows]
    if unmatched:
        more = f" and {len(unmatched) - _SHOWN} more" if len(unmatched) > _SHOWN else ""
        shown = ", ".join(map(str, unmatched[:_SHOWN]))
        count = f"{len(unmatched)} imaged well{'s' if len(unmatched) > 1 else ''}"
        faults.warn(file, 0, f"does not describe {count}: {shown}{more}")
    if experiment.analysis.statistics:
        there = {rows[well].control for well in experiment.layout.imaged_wells if well in rows}
        lacking = [control for control in ("negcon", "poscon") if control not in there]
        if lacking:
            faults.warn(file, 0, f"no imaged well is a {' or a '.join(lacking)}, which analysis.statistics need")


def _sorted(units: Counter[str | None]) -> list[str]:
    return sorted(str(unit) for unit in units)
