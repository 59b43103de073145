"""Profiles of plate readers: each physical plate a plate, each channel or label a feature."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imaging.analyses.plate_reader.exports import Measured, read_export
from imaging.analyses.plate_reader.screen import (
    Flag,
    PlateFile,
    Screen,
    control_of,
    is_named_kind,
    read_screen,
    treatment_names,
)
from imaging.analyses.profiles import Profiles, complete_wells
from imaging.declared import did_you_mean
from imaging.errors import ConfigurationError
from imaging.wells import parse_well


def is_plate_reader(path: Path) -> bool:
    """Whether a path is a plate reader's: a folder with a plate list, or a file that `read_plate_reader` can read."""
    try:
        return read_screen(path) is not None if path.is_dir() else any(item.values for item in read_export(path))
    except (ConfigurationError, OSError):
        return False


def read_plate_reader(path: Path | str) -> Profiles:
    """Read what a plate reader measured.

    Parameters
    ----------
    path
        A folder with a plate list, or one file of a reader.

    Returns
    -------
    A profile per well. ``plate`` is the plate's number and replicate, such as ``1-2`` (the file's name for a single
    file), ``batch`` the replicate's; the wells have ``replicate``, ``library_plate``, the annotations, and ``flag`` and
    ``flag_reason`` of the screen log; where it flags one channel of several, that value is NaN. Controls are those of
    the plate configuration, treatments its contents or the annotations' gene or compound; a well that nobody describes
    is named after its place in the library. Without a description every well is ``trt``, and its own treatment.

    Raises
    ------
    ConfigurationError
        If a file is missing or at fault: one sentence with the file and the line.
    """
    path = Path(path)
    if not path.exists():
        raise ConfigurationError(f"{path.name} is not there; give a plate reader's file or a folder with a plate list")
    if path.is_dir():
        screen = read_screen(path)
        if screen is None:
            raise ConfigurationError(
                f"{path.name} has no plate list: a text file with the columns Filename, Plate and Replicate"
            )
        return _read_folder(path, screen)
    measured = read_export(path)
    wells = _in_order(measured)
    rows = [{"experiment": path.stem, "plate": path.stem, "library_plate": path.stem} for _ in wells]
    return _profiles(wells, rows, [item.label for item in measured], [_column(item, wells) for item in measured])


def _read_folder(folder: Path, screen: Screen) -> Profiles:
    plates: dict[tuple[str, str], list[PlateFile]] = {}
    for item in screen.files:
        plates.setdefault((item.plate, item.replicate), []).append(item)
    labels = _Labels(screen)
    frames, tables = [], []
    for (plate, replicate), files in plates.items():
        measured = [(item, found) for item in files for found in read_export(_find(folder, item))]
        wells = _in_order(found for _, found in measured)
        flags = [_flags_of(screen, plate, replicate, well, [item.channel for item in files]) for well in wells]
        columns: dict[str, np.ndarray] = {}
        for item, found in measured:
            values = _column(found, wells)
            values[[item.channel in of_well.channels for of_well in flags]] = np.nan
            columns[labels.name(item, found)] = values
        frames.append(pd.DataFrame(columns))
        rows = [_describe(folder, screen, plate, replicate, *place) for place in zip(wells, flags, strict=True)]
        tables.append(pd.DataFrame(rows).assign(well=wells))
    values = pd.concat(frames, ignore_index=True)
    known = pd.concat(tables, ignore_index=True)
    return _profiles(
        known["well"].tolist(), known.drop(columns="well").to_dict("records"), list(values.columns), values.to_numpy().T
    )


class _Labels:
    """What features are called: the file's own label, or ``channel 1`` where the plate list has several."""

    def __init__(self, screen: Screen) -> None:
        self._channels = {item.channel for item in screen.files}

    def name(self, item: PlateFile, measured: Measured) -> str:
        if len(self._channels) > 1:
            return f"channel {item.channel}" + ("" if measured.label == "value" else f" {measured.label}")
        return measured.label


@dataclass(frozen=True)
class _Flags:
    """What the log says of a well: its flags where it is flagged as a whole, else the channels that do not count."""

    flag: str = ""
    reason: str = ""
    channels: frozenset[str] = frozenset()


def _flags_of(screen: Screen, plate: str, replicate: str, well: str, channels: Sequence[str]) -> _Flags:
    flags = [flag for flag in screen.flags if _holds(flag, plate, replicate, well)]
    named = {flag.channel for flag in flags}
    if flags and not (named & {"", "*"} or named >= set(channels)):
        return _Flags(channels=frozenset(named))
    return _Flags(
        "; ".join(dict.fromkeys(flag.flag or "flagged" for flag in flags)),
        "; ".join(dict.fromkeys(flag.comment for flag in flags if flag.comment)),
    )


def _find(folder: Path, item: PlateFile) -> Path:
    """The file of a line of the plate list, whatever the case of its name; nothing outside the folder."""
    there = {path.name: path for path in folder.iterdir() if path.is_file()}
    if item.name in there:
        return there[item.name]
    folded = {name.casefold(): path for name, path in there.items()}
    if item.name.casefold() in folded:
        return folded[item.name.casefold()]
    hint = did_you_mean(item.name, sorted(there)) if there else "the folder has no files"
    raise ConfigurationError(
        f"the plate list names {item.name!r} in line {item.line}, and {folder.name} has no such file; {hint}"
    )


def _describe(folder: Path, screen: Screen, plate: str, replicate: str, well: str, flags: _Flags) -> dict[str, Any]:
    content = screen.content_of(plate, well)
    said = screen.annotations.get((plate, well), {})
    named = next((said[name] for name in treatment_names(list(said))), "")
    control = control_of(content) if content else "trt"
    treatment = named or f"{plate} {well}"
    if content and not is_named_kind(content):
        treatment = content
    elif control in ("negcon", "poscon", "empty"):
        treatment = named or content
    return {
        "experiment": folder.name,
        "batch": f"replicate {replicate}",
        "plate": f"{plate}-{replicate}",
        "library_plate": plate,
        "replicate": replicate,
        "treatment": treatment,
        "control": control,
        "flag": flags.flag,
        "flag_reason": flags.reason,
        **{name: text for name, text in said.items() if name not in ("treatment", "control", "plate", "well")},
    }


def _holds(flag: Flag, plate: str, replicate: str, well: str) -> bool:
    return flag.plate in (plate, "*") and flag.replicate in (replicate, "", "*") and flag.well in (well, "*")


def _in_order(measured: Iterable[Measured]) -> list[str]:
    return sorted({well for item in measured for well in item.values}, key=parse_well)


def _column(item: Measured, wells: Sequence[str]) -> np.ndarray:
    return np.array([item.values.get(well, np.nan) for well in wells])


def _profiles(
    wells: Sequence[str], rows: Sequence[dict[str, Any]], labels: Sequence[str], columns: Iterable[np.ndarray]
) -> Profiles:
    parsed = [parse_well(well) for well in wells]
    frame = pd.DataFrame(list(rows)).assign(
        well=[str(well) for well in parsed],
        row=[well.row_name for well in parsed],
        column=[well.column for well in parsed],
        time_point=1,
    )
    if "treatment" not in frame:
        frame = frame.assign(treatment=frame["well"], control="trt", batch="")
    texts = frame.select_dtypes("object").columns
    frame[texts] = frame[texts].fillna("")
    values = np.array([np.asarray(column, dtype=float) for column in columns]).reshape(len(labels), len(frame)).T
    return Profiles(np.ascontiguousarray(values), tuple(labels), complete_wells(frame))
