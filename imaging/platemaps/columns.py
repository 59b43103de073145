"""Which column of a table is what: names that labs use, and those that experiment.yaml declares.

Names are compared in lower case, without blanks, ``_``, ``-`` and a leading ``Metadata_``. Of several groups of names
the first that the header has decides: a column ``gene`` is the treatment only where there is no ``compound``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from imaging.declared import did_you_mean
from imaging.platemaps.faults import Faults

_Groups = tuple[tuple[str, ...], ...]

MAP_NAMES: dict[str, _Groups] = {
    "well": (("well", "wellposition", "wellname", "wellid", "assaywell", "destinationwell"),),
    "row": (("row", "wellrow", "platerow"),),
    "column": (("column", "col", "wellcolumn", "wellcol", "platecolumn", "platecol"),),
    "treatment": (
        ("treatment", "compound", "drug", "perturbation", "broadsample"),
        ("compoundname", "drugname", "treatmentname", "pertname", "pertiname"),
        ("compoundid", "drugid", "treatmentid", "pertid", "jcp2022"),
        ("sirna", "shrna", "sgrna", "grna", "guide", "orf"),
        ("genotype",),
        ("gene", "genename", "genesymbol", "genes"),
    ),
    "concentration": (("concentration", "conc", "dose"), ("mmolesperliter",), ("mgperml",)),
    "unit": (("concentrationunit", "concunit", "unit", "units", "doseunit"),),
    "control": (("control", "controltype"),),
    "kind": (("perttype",),),
    "solvent": (("solvent", "vehicle"),),
    "barcode": (("plate", "platename", "plateid", "barcode", "platebarcode", "assayplatebarcode", "assayplate"),),
    "map": (("platemapname", "platemap"),),
}
"""What columns of a plate map are called; ``kind`` says treated or control where ``control`` is empty."""

BARCODE_NAMES: dict[str, _Groups] = {
    "barcode": (
        ("assayplatebarcode",),
        ("barcode", "platebarcode", "assaybarcode", "plate", "assayplate", "plateid", "platename"),
    ),
    "map": (
        ("platemapname",),
        ("platemap", "map", "mapname", "layout", "layoutname", "platelayout", "platemapfile"),
        ("compoundplate", "sourceplate", "libraryplate"),
    ),
    "batch": (("batch", "batchnumber", "batchname", "batchid"),),
}
"""What columns of a barcode file are called."""

_UNITS = {"mm": "mM", "um": "uM", "µm": "uM", "μm": "uM", "nm": "nM", "pm": "pM", "mg/ml": "mg/ml", "%": "%"}
_UNITS |= {"ug/ml": "ug/ml", "µg/ml": "ug/ml", "μg/ml": "ug/ml", "ng/ml": "ng/ml"}
_WITH_UNIT = re.compile(rf"(concentration|conc\.?|dose)[ _]*[(\[]?\s*({'|'.join(_UNITS)})\s*[)\]]?")


def plain_name(cell: str) -> str:
    """A column's name as names are compared; a unit after ``conc`` or ``dose`` is left out."""
    text = re.sub(r"^(?:image_)?metadata_", "", cell.strip().casefold())
    with_unit = _WITH_UNIT.fullmatch(text)
    return with_unit[1].rstrip(".") if with_unit else re.sub(r"[ _-]", "", text)


def unit_in_name(cell: str) -> str | None:
    """Unit that a column's name tells of its concentrations, such as uM of ``dose_um``, mM of ``mmoles_per_liter``."""
    with_unit = _WITH_UNIT.fullmatch(re.sub(r"^(?:image_)?metadata_", "", cell.strip().casefold()))
    return _UNITS[with_unit[2]] if with_unit else {"mmolesperliter": "mM", "mgperml": "mg/ml"}.get(plain_name(cell))


def names_place(cells: Sequence[str], columns: Mapping[str, str]) -> bool:
    """Whether one of some cells is called as columns of wells or rows are."""
    declared = {columns.get("well"), columns.get("row")} - {None}
    usual = {name for role in ("well", "row") for group in MAP_NAMES[role] for name in group}
    return any(cell.strip() in declared or plain_name(cell) in usual for cell in cells)


def choose_columns(
    header: Sequence[str],
    columns: Mapping[str, str],
    names: Mapping[str, _Groups],
    file: str,
    faults: Faults,
) -> dict[str, int] | None:
    """Find the position of each known column in a header.

    Parameters
    ----------
    header
        Names of the columns.
    columns
        Declared names, where they are not the usual ones.
    names
        The usual ones, ``MAP_NAMES`` or ``BARCODE_NAMES``.
    file, faults
        Take what is wrong: ``None`` is returned when a column is not there or several can be it.
    """
    chosen: dict[str, int] = {}
    known = len(faults)
    for role, groups in names.items():
        found = _find_declared(header, columns[role]) if role in columns else _find_usual(header, role, groups)
        if role in columns and not found:
            faults.add(file, 1, f"has no column {columns[role]!r}, the {role}; {did_you_mean(columns[role], header)}")
        elif len(found) > 1:
            shown = ", ".join(header[place] for place in found)
            faults.add(file, 1, f"several columns can be the {role}: {shown}; say which under plate_maps.columns")
        elif found:
            chosen[role] = found[0]
    return chosen if len(faults) == known else None


def choose_place(
    header: Sequence[str], chosen: dict[str, int], columns: Mapping[str, str], file: str, faults: Faults
) -> bool:
    """Settle whether ``well`` or ``row`` and ``column`` name the wells; ``False`` when neither does."""
    has_rows = {"row", "column"} <= set(chosen)
    if has_rows and {"row", "column"} & set(columns):
        chosen.pop("well", None)
    elif not has_rows and "well" not in chosen:
        shown = ", ".join(header)
        faults.add(file, 1, f"needs a column well, or row and column; it has {shown}; see plate_maps.columns")
        return False
    return True


def _find_declared(header: Sequence[str], wanted: str) -> list[int]:
    return [place for place, name in enumerate(header) if name == wanted]


def _find_usual(header: Sequence[str], role: str, groups: _Groups) -> list[int]:
    """Columns with a usual name; the very name itself wins over its other spellings."""
    plain = [plain_name(cell) for cell in header]
    for group in groups:
        found = [place for place, text in enumerate(plain) if text in group]
        itself = [place for place in found if plain[place] == role]
        if found:
            return itself or found
    return []
