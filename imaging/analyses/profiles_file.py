"""Profiles that were made elsewhere: a CSV or Parquet file with a row per well, and tables that say what wells are.

Which columns are what says the recipe (``annotate``). Features are the columns that it names, or every column of
numbers that neither it nor the field's custom (``Metadata_``) calls metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imaging.analyses.annotate import NAMED, check_place, describe_wells, find_unfilled, rename_columns
from imaging.analyses.plate_reader import is_plate_reader, read_plate_reader
from imaging.analyses.profiles import Profiles
from imaging.analyses.recipe import Annotate
from imaging.declared import did_you_mean
from imaging.errors import ConfigurationError, MissingPartError
from imaging.sentences import counted, list_words

SUFFIXES = (".parquet", ".csv", ".tsv", ".txt", ".gz")
KEYS = (("plate", "well"), ("treatment", "concentration"), ("treatment",), ("plate",))
"""What rows of a table beside the profiles belong to, the first that both have."""
_METADATA = ("metadata_", "image_metadata_", "image_filename_", "image_pathname_")
_NO_FEATURES = frozenset(
    {"imagenumber", "objectnumber", "tablenumber", "site", "row", "column", "col", "field", "replicate", "time_point"}
)
"""Numbers that are none of a well's looks, in lower case."""
_FEW_WORDS = 0.1
"""Share of a column's values that are words up to which the others say that it is meant to be numbers."""


def read_profiles(
    path: Path, annotate: Annotate, *, experiment: str, annotations: Sequence[Path] = ()
) -> tuple[Profiles, tuple[str, ...]]:
    """Read profiles from a file; a reader's table of a plate, or a folder of these, is taken too.

    Parameters
    ----------
    path
        CSV (also gzipped), TSV or Parquet, one row per well.
    annotate
        Which columns are what.
    experiment
        The experiment's name.
    annotations
        Tables that are joined to the wells by plate and well, by treatment and concentration, treatment or plate.

    Returns
    -------
    The profiles, and what has to be said of them, one sentence each.

    Raises
    ------
    ConfigurationError
        If the file is no such table.
    MissingPartError
        If there is no such file.
    """
    if path.is_dir():
        return _read_reader(path, annotate, experiment, annotations)
    try:
        frame = read_table(path)
    except ConfigurationError:
        if not is_plate_reader(path):
            raise
        return _read_reader(path, annotate, experiment, annotations)
    renamed = rename_columns(frame, annotate)
    if "plate" not in renamed and "well" not in renamed and is_plate_reader(path):
        return _read_reader(path, annotate, experiment, annotations)
    check_place(renamed, annotate, experiment=experiment, place=path.name)
    features = _features(frame, renamed, annotate, path)
    wells = renamed.drop(columns=list(features))
    wells, notes = join_annotations(wells, annotate, annotations)
    places = " and ".join(table.name for table in (path, *annotations))
    if unfilled := find_unfilled(wells, annotate):
        raise ConfigurationError(f"{places}: {unfilled[0]}", unfilled[1:], experiment=experiment)
    wells = describe_wells(wells, annotate, experiment=experiment, place=path.name)
    values = renamed[list(features)].apply(pd.to_numeric).to_numpy(dtype=float, na_value=np.nan)
    return Profiles(*_finite(values, features, notes), wells), tuple(notes)


def join_annotations(
    wells: pd.DataFrame, annotate: Annotate, annotations: Sequence[Path]
) -> tuple[pd.DataFrame, list[str]]:
    """Add the columns of tables to the wells that their rows are of.

    Raises
    ------
    ConfigurationError
        If a table shares no key with the wells, or says two things of one.
    """
    notes: list[str] = []
    for path in annotations:
        table = rename_columns(read_table(path), annotate)
        keys = next((keys for keys in KEYS if all(key in table and key in wells for key in keys)), None)
        if keys is None:
            there = [*map(str, read_table(path).columns)]
            raise ConfigurationError(
                f"{path.name} has no columns by which its rows belong to wells: plate and well, treatment and "
                f"concentration, treatment, or plate; it has {list_words(there, 12)}; name them under annotate in the "
                "recipe",
            )
        more = [name for name in table.columns if name in NAMED and name not in wells]
        kept: Any = table[[*keys, *more]].drop_duplicates()
        for key in keys:
            kept[key], wells[key] = _as_key(kept[key], key), _as_key(wells[key], key)
        kept = kept.drop_duplicates()
        twice = kept[kept.duplicated(subset=list(keys))]
        if len(twice):
            shown = ", ".join(f"{key} {twice.iloc[0][key]}" for key in keys)
            raise ConfigurationError(
                f"{path.name} says two things of {shown}; it must have one row for each {' and '.join(keys)}"
            )
        joined = wells.merge(kept, on=list(keys), how="left", indicator="_joined")
        unmatched = int((joined["_joined"] == "left_only").sum())
        if unmatched:
            notes.append(f"{path.name} says nothing of {unmatched} of {len(joined)} wells")
        wells = joined.drop(columns="_joined")
    return wells, notes


def _as_key(values: Any, key: str) -> Any:
    if key == "concentration":
        return np.asarray(pd.to_numeric(values, errors="coerce"), dtype=float)
    return values.astype(object).where(values.notna(), "").astype(str)


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV, TSV or Parquet file as it stands.

    Raises
    ------
    ConfigurationError
        If it cannot be read as one.
    MissingPartError
        If there is no such file.
    """
    if not path.is_file():
        raise MissingPartError(f"there is no file {path}; give a table of profiles as CSV or Parquet")
    ending = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    try:
        if ending == "parquet":
            return pd.read_parquet(path)
        if ending in ("tsv", "txt"):
            return pd.read_csv(path, sep="\t", low_memory=False)
        return pd.read_csv(path, low_memory=False)
    except pd.errors.EmptyDataError as error:
        raise ConfigurationError(f"{path} is empty; give CSV, TSV or Parquet") from error
    except pd.errors.ParserError as error:
        raise ConfigurationError(
            f"{path} cannot be read as a table: its lines differ in their number of cells"
        ) from error
    except (ValueError, OSError, EOFError, UnicodeDecodeError) as error:
        said = str(error).splitlines()[0]
        raise ConfigurationError(f"{path} cannot be read as a table ({said}); give CSV, TSV or Parquet") from error


def _read_reader(
    path: Path, annotate: Annotate, experiment: str, annotations: Sequence[Path]
) -> tuple[Profiles, tuple[str, ...]]:
    """Read what a plate reader wrote: no table of profiles, but values of one plate each."""
    found = read_plate_reader(path)
    described: Any = found.wells
    there = [name for name in described if described[name].notna().any() and described[name].ne("").any()]
    known = rename_columns(described[there].drop(columns="experiment", errors="ignore"), annotate)
    wells, notes = join_annotations(known, annotate, annotations)
    wells = describe_wells(wells, annotate, experiment=experiment, place=path.name)
    return Profiles(found.values, found.features, wells), tuple(notes)


def _features(frame: pd.DataFrame, renamed: pd.DataFrame, annotate: Annotate, path: Path) -> tuple[str, ...]:
    """Columns that are features, in the order of the file."""
    if annotate.features:
        _refuse_words(renamed, annotate, path)
        missing = [name for name in annotate.features if name not in renamed]
        if missing:
            near = did_you_mean(missing[0], map(str, frame.columns[:200]))
            raise ConfigurationError(f"{path.name} has no feature {missing[0]}, which annotate.features names; {near}")
        return annotate.features
    left_out = {*NAMED, *annotate.metadata, "experiment", "time_point"}
    may_be = [
        name
        for name in map(str, renamed.columns)
        if name not in left_out and not name.lower().startswith(_METADATA) and name.lower() not in _NO_FEATURES
    ]
    _refuse_words(renamed[may_be], annotate, path)
    found = tuple(renamed[may_be].select_dtypes("number").columns)
    if not found:
        raise ConfigurationError(
            f"{path.name} has no column of numbers that is a feature; name them under annotate.features in the recipe"
        )
    return found


def _refuse_words(frame: pd.DataFrame, annotate: Annotate, path: Path) -> None:
    """Refuse a word in a column that the recipe calls a feature, or whose other values are numbers."""
    for name in frame.select_dtypes(exclude="number").columns:
        if annotate.features and name not in annotate.features:
            continue
        given: Any = frame[name]
        is_given = given.notna() & (given.astype(str).str.strip() != "")
        is_word = np.asarray(is_given & pd.to_numeric(given, errors="coerce").isna())
        if is_word.any() and (annotate.features or is_word.sum() <= _FEW_WORDS * is_given.sum()):
            row = int(np.flatnonzero(is_word)[0])
            raise ConfigurationError(
                f"{path.name} has {str(given.iloc[row])!r} in column {name}, row {row + 1} of the data, where other "
                "values are numbers; mend it, or name the column under annotate.metadata in the recipe"
            )


def _finite(values: np.ndarray, features: tuple[str, ...], notes: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    infinite = np.isinf(values)
    if infinite.any():
        named = [name for name, there in zip(features, np.asarray(infinite.any(axis=0)), strict=True) if there]
        count = int(infinite.sum())
        counts = "counts" if count == 1 else "count"
        notes.append(f"{counted(count, 'infinite value')} {counts} as missing, in {list_words(named)}")
        values = np.where(infinite, np.nan, values)
    return np.ascontiguousarray(values), features
