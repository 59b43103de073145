"""What the wells of a table are: its columns under the names of `WELL_COLUMNS`, as the recipe says."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from imaging.analyses.profiles import EMPTY, NEGCON, POSCON, TREATED, complete_wells
from imaging.analyses.recipe import Annotate
from imaging.declared import did_you_mean
from imaging.errors import ConfigurationError
from imaging.wells import parse_well

NAMED = (
    "plate",
    "well",
    "batch",
    "treatment",
    "concentration",
    "concentration_unit",
    "mechanism",
    "control",
    "cells_count",
)
"""Columns whose names the recipe says."""
_PREFIX = re.compile(r"^(?:Image_)?Metadata_", re.IGNORECASE)
_CONTROLS = (NEGCON, POSCON, EMPTY, TREATED)


def find_columns(columns: Iterable[str], annotate: Annotate) -> dict[str, str]:
    """Which column of a table holds what, by the names of `NAMED`; what it lacks is left out.

    A name of the recipe counts as it stands before it counts whatever its case and without ``Metadata_``, as
    CellProfiler and pycytominer write it.
    """
    names = list(columns)
    plain = {_PREFIX.sub("", name).casefold(): name for name in reversed(names)}
    found: dict[str, str] = {}
    for noun in NAMED:
        wanted = getattr(annotate, noun)
        exact = next((name for name in wanted if name in names), None)
        near = next((plain[name.casefold()] for name in wanted if name.casefold() in plain), None)
        if exact or near:
            found[noun] = exact or near or ""
    return found


def rename_columns(frame: pd.DataFrame, annotate: Annotate) -> pd.DataFrame:
    """The same rows with the columns that the recipe names under the names of `NAMED`."""
    found = find_columns(frame.columns, annotate)
    taken = {column: noun for noun, column in found.items()}
    hidden = [name for name in frame.columns if name in NAMED and name not in taken]
    return frame.drop(columns=hidden).rename(columns=taken)


def find_unfilled(wells: pd.DataFrame, annotate: Annotate) -> tuple[str, ...]:
    """Columns that the recipe itself names and no well has, a sentence each; ``wells`` as of `rename_columns`."""
    found = []
    for noun in NAMED:
        if noun not in annotate.model_fields_set or not getattr(annotate, noun):
            continue
        given = wells.get(noun)
        if given is None or not (given.notna() & (given.astype(str) != "")).any():
            wanted = " or ".join(getattr(annotate, noun))
            hint = did_you_mean(getattr(annotate, noun)[0], map(str, wells.columns[:40]))
            found.append(f"no well has a value of {wanted}, which annotate.{noun} of the recipe names; {hint}")
    return tuple(found)


def find_unheld(wells: pd.DataFrame, annotate: Annotate) -> tuple[str, ...]:
    """Controls that the recipe names and no well holds, a sentence for each kind."""
    treatments = [str(name) for name in wells["treatment"].unique() if name]
    there = {name.casefold() for name in treatments}
    return tuple(
        f"no well holds {' or '.join(named)}, which annotate.{noun} of the recipe names; "
        f"{did_you_mean(named[0], treatments[:200])}"
        for noun in ("negative_controls", "positive_controls")
        if (named := getattr(annotate, noun)) and there and not there & {name.casefold() for name in named}
    )


def check_place(frame: pd.DataFrame, annotate: Annotate, *, experiment: str, place: str) -> None:
    """Refuse rows that nobody can place, for a column with their plate or well is not there; as `describe_wells`."""
    lacking = [noun for noun in ("plate", "well") if noun not in frame]
    if lacking:
        raise ConfigurationError(
            f"{place} has no column {' and no column '.join(lacking)}; name it under annotate in the recipe",
            tuple(
                f"annotate.{noun} names {', '.join(getattr(annotate, noun))}: "
                f"{did_you_mean(getattr(annotate, noun)[0], map(str, frame.columns[:40]))}"
                for noun in lacking
            ),
            experiment=experiment,
        )


def describe_wells(
    frame: pd.DataFrame, annotate: Annotate, *, experiment: str, place: str = "the table"
) -> pd.DataFrame:
    """Say what each row's well is.

    Parameters
    ----------
    frame
        One row per well, its columns as `rename_columns` gives them.
    annotate
        Which treatments are controls, and where batches come from.
    experiment
        Name of the experiment, where no column says it.
    place
        What the table is called in messages.

    Returns
    -------
    The columns of ``profiles.WELL_COLUMNS``, then all others.

    Raises
    ------
    ConfigurationError
        If a row has no plate or no well, or a well or a control is none.
    """
    check_place(frame, annotate, experiment=experiment, place=place)
    wells = complete_wells(frame.assign(experiment=frame.get("experiment", experiment)))
    if wells.empty:
        raise ConfigurationError(f"{place} has no rows", experiment=experiment)
    _place_wells(wells, place, experiment)
    if annotate.batch_pattern and not (wells["batch"] != "").any():
        wells["batch"] = _batches(wells["plate"], annotate.batch_pattern, experiment)
    wells.loc[wells["batch"] == "", "batch"] = experiment
    wells["time_point"] = wells["time_point"].fillna(1.0)
    _mark_controls(wells, annotate, place, experiment)
    _refuse_odd_doses(frame, wells, place, experiment)
    return wells


def _refuse_odd_doses(frame: pd.DataFrame, wells: pd.DataFrame, place: str, experiment: str) -> None:
    """Refuse a concentration that is no number; a control may have a word for it."""
    if "concentration" not in frame or pd.api.types.is_numeric_dtype(frame["concentration"]):
        return
    given = frame["concentration"].reset_index(drop=True)
    is_word = given.notna() & (given.astype(str).str.strip() != "") & wells["concentration"].isna()
    odd = np.flatnonzero(is_word & (wells["control"] == TREATED))
    if len(odd):
        row = wells.iloc[int(odd[0])]
        raise ConfigurationError(
            f"{place} gives {row['well']} of {row['plate']} the concentration {str(given[odd[0]])!r}, which is no "
            "number; give one, or leave it empty",
            experiment=experiment,
            plate=row["plate"],
        )


def _place_wells(wells: pd.DataFrame, place: str, experiment: str) -> None:
    """Spell wells as ``B03`` and give rows and columns."""
    named = wells["well"].unique()
    parsed = {}
    for name in named:
        try:
            parsed[name] = parse_well(name)
        except ValueError as error:
            raise ConfigurationError(
                f"{place} has a row whose well is {name!r}: {error}", experiment=experiment
            ) from error
    if (wells["plate"] == "").any():
        first = int(np.flatnonzero(wells["plate"] == "")[0])
        raise ConfigurationError(
            f"{place} has rows without a plate, the first for well {wells['well'].iloc[first]}; give each its plate",
            experiment=experiment,
        )
    places = [parsed[name] for name in wells["well"]]
    wells["row"] = [well.row_name for well in places]
    wells["column"] = [float(well.column) for well in places]
    wells["well"] = [str(well) for well in places]
    keys = ["experiment", "plate", "well", "time_point"]
    twice = wells[wells.duplicated(keys)]
    if len(twice):
        row = twice.iloc[0]
        raise ConfigurationError(
            f"{place} has {len(twice)} rows too many: a well of a plate has one profile, and {row['well']} of "
            f"{row['plate']} has several; aggregate them, or name the plate's column under annotate.plate",
            experiment=experiment,
            plate=row["plate"],
        )


def _batches(plates: Iterable[str], pattern: str, experiment: str) -> list[str]:
    named = list(plates)
    found = {}
    for plate in dict.fromkeys(named):
        match = re.search(pattern, plate)
        if match is None:
            raise ConfigurationError(
                f"annotate.batch_pattern does not find a batch in the plate's name; {pattern!r} must match",
                experiment=experiment,
                plate=plate,
            )
        found[plate] = match["batch"]
    return [found[plate] for plate in named]


def _mark_controls(wells: pd.DataFrame, annotate: Annotate, place: str, experiment: str) -> None:
    """Treatments that the recipe calls controls are some; a treated well that nobody calls anything is ``trt``."""
    for kind, names in ((NEGCON, annotate.negative_controls), (POSCON, annotate.positive_controls)):
        folded = {name.casefold() for name in names}
        wells.loc[wells["treatment"].str.casefold().isin(folded), "control"] = kind
    wells.loc[(wells["control"] == "") & (wells["treatment"] != ""), "control"] = TREATED
    odd = sorted(set(wells["control"]) - {"", *_CONTROLS})
    if odd:
        raise ConfigurationError(
            f"{place} calls a well {odd[0]!r} in the column of controls; use {', '.join(_CONTROLS)}, or name the "
            "treatments under annotate.negative_controls and another column under annotate.control",
            experiment=experiment,
        )
