"""Stored values may move only together with ``NUMBERS_VERSION``: a change that moves one says so here."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import tifffile

from imaging.measure import measure_planes
from imaging.recipes import NUMBERS_VERSION
from imaging.site import SiteMeasurement
from tests.imaging.small_plate import EXPERIMENT, FEATURES, draw_cells, make_job

KNOWN = {1: "4fb8e39fa5694795", 2: "45860ac0a6ee768b", 3: "aab740caa64c6bd6"}


def digest(measured: SiteMeasurement) -> str:
    """Hash of all values of a site to five digits: below that, processors may differ."""
    cells = {name: measured.cells[name].to_pylist() for name in measured.cells.column_names}
    values = [(name, [_rounded(value) for value in column]) for name, column in sorted(cells.items())]
    for row in measured.image_features.to_pylist():
        values += [(f"{name} {row['channel']}", [_rounded(row[name])]) for name in sorted(row)]
    for row in measured.image_metrics:
        values += [(f"{name}{row['channel']}", [_rounded(row[name])]) for name in sorted(row)]
    values += [(name, [int(labels.astype(int).sum())]) for name, labels in sorted(measured.labels.items())]
    values += [("thumbnails", [int(measured.thumbnails.astype(int).sum())])]
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


def _rounded(value: object) -> str:
    return f"{value:.4e}" if isinstance(value, float) and abs(value) > 1e-9 else "0" if value == 0 else str(value)


def test_values_stand_still_as_long_as_the_numbers_version_does(tmp_path: Path) -> None:
    job = make_job(tmp_path, text=EXPERIMENT.replace(FEATURES, ""))
    pins = job.ensure_pins()
    files = {"DNA": draw_cells(1), "GFP": draw_cells(2, radius=13.0, brightness=90)}
    planes = {name: tifffile.imread(io.BytesIO(data)) for name, data in files.items()}
    measured = measure_planes(planes, pins)
    assert measured.cells.num_rows == 9
    assert digest(measured) == KNOWN[NUMBERS_VERSION]


def test_every_value_is_a_number_or_null(tmp_path: Path) -> None:
    job = make_job(tmp_path, text=EXPERIMENT.replace(FEATURES, ""))
    planes = {name: tifffile.imread(io.BytesIO(draw_cells(1, brightness=0))) for name in ("DNA", "GFP")}
    measured = measure_planes(planes, job.ensure_pins())
    assert measured.counts["Nuclei"] == 0
    assert measured.cells.num_rows == 0
    for column in measured.cells.columns:
        assert not pc.any(pc.is_nan(column.cast(pa.float64()))).as_py()
