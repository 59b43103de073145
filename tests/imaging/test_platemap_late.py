"""Metadata that come late: the plate is published anew, and no pixel is touched."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imaging.job import PlateJob
from imaging.publication import is_current
from imaging.query import run_query
from tests.following import follow
from tests.imaging.platemap_files import workbook
from tests.imaging.small_plate import EXPERIMENT, PLATE_MAP, make_job, object_states, read_rows

BARCODES = "Assay_Plate_Barcode,Plate_Map_Name\nP1,C-1\n"


def job_with(folder: Path, plate_maps: str) -> PlateJob:
    """A plate with other plate maps, none of which is there yet."""
    declared = "plate_maps: [{file: map.csv, concentration_unit: uM}]"
    assert declared in EXPERIMENT
    job = make_job(folder, text=EXPERIMENT.replace(declared, f"plate_maps: [{plate_maps}]"))
    (folder / "maps" / "map.csv").unlink()
    return job


def pixels(job: PlateJob) -> dict[str, str]:
    """Versions of all objects that come of pixels: manifests, parts and images; a publication writes none of them."""
    return {key: state for key, state in object_states(job).items() if re.search("/sites/|/parts/|/s1x", key)}


def treatments(job: PlateJob) -> list[tuple[str, str, str]]:
    rows = run_query(job.store, "SELECT well, treatment, control FROM wells ORDER BY well").to_pylist()
    return [(row["well"], row["treatment"], row["control"]) for row in rows]


KNOWN = [("A01", "DMSO", "negcon"), ("A02", "DMSO", "negcon"), ("B01", "x", "poscon"), ("B02", "x", "poscon")]
ROWS = [line.split(",") for line in PLATE_MAP.splitlines()]


@pytest.mark.parametrize("name", ["C-1.csv", "C-1.xlsx"])
def test_a_barcode_row_and_then_its_map_publish_anew_without_touching_a_pixel(tmp_path: Path, name: str) -> None:
    job = job_with(tmp_path, "{barcodes: barcode_platemap.csv, concentration_unit: uM}")
    table = tmp_path / "maps" / "barcode_platemap.csv"
    table.write_text("Assay_Plate_Barcode,Plate_Map_Name\nP7,C-1\n")
    first = follow(job)
    assert first is not None
    assert {row["treatment"] for row in read_rows(job, first, "wells")} == {None}
    assert [(row["kind"], row["name"], row["reason"]) for row in read_rows(job, first, "faults")] == [
        ("plate map", "barcode_platemap.csv", "names no map for the plate 'P1'")
    ]
    before = pixels(job)
    assert is_current(job, job.survey())

    table.write_text(BARCODES)
    assert not is_current(job, job.survey())
    second = follow(job)
    assert second is not None
    (fault,) = read_rows(job, second, "faults")
    assert fault["reason"].startswith("line 2: the plate map 'C-1' is not there yet")

    folder = tmp_path / "maps" / "platemap"
    folder.mkdir()
    (folder / name).write_bytes(workbook(ROWS) if name.endswith("xlsx") else PLATE_MAP.encode())
    assert not is_current(job, job.survey())
    third = follow(job)
    assert third is not None
    assert (first.number, second.number, third.number) == (1, 2, 3)
    assert treatments(job) == KNOWN
    assert read_rows(job, third, "faults") == []
    assert pixels(job) == before
    assert before

    again = follow(job)
    assert again is not None
    assert again.number == 3


def test_a_compound_table_that_changes_publishes_its_annotations_anew(tmp_path: Path) -> None:
    job = job_with(tmp_path, "{file: map.csv, concentration_unit: uM, join: moa.csv, annotations: [moa]}")
    (tmp_path / "maps" / "map.csv").write_text(PLATE_MAP)
    (tmp_path / "maps" / "moa.csv").write_text("treatment,moa\nDMSO,none\nx,unknown\n")
    follow(job)
    before = pixels(job)
    (tmp_path / "maps" / "moa.csv").write_text("treatment,moa\nDMSO,none\nx,tubulin\n")
    publication = follow(job)
    assert publication is not None
    assert publication.number == 2
    assert pixels(job) == before
    sql = (
        "SELECT a.value, COUNT(*) AS wells FROM wells w JOIN well_annotations a USING (experiment, plate, recipe, run, "
    )
    sql += "well) WHERE a.name = 'moa' GROUP BY a.value ORDER BY a.value"
    assert run_query(job.store, sql).to_pylist() == [{"value": "none", "wells": 2}, {"value": "tubulin", "wells": 2}]


def test_a_layout_in_the_plate_s_folder_that_comes_last_publishes_anew(tmp_path: Path) -> None:
    job = job_with(tmp_path, "{in_plate: Assaylayout/*.xml}")
    assert follow(job) is not None
    before = pixels(job)
    folder = tmp_path / "raw" / "Assaylayout"
    folder.mkdir()
    (folder / "Mine.xml").write_text(
        "<AssayLayout><Layer><Name>Compound</Name><Well><Row>1</Row><Col>1</Col><Value>taxol</Value></Well></Layer>"
        "</AssayLayout>"
    )
    follow(job)
    assert ("A01", "taxol", None) in treatments(job)
    assert pixels(job) == before
