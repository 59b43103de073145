"""Plates with z-stacks and time points from their files to tables, pages and OME-Zarr."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from imaging.formats.inside import Inside
from imaging.names import plate_zarr
from imaging.page_tables import page_from_tables
from imaging.plane_files import read_site
from imaging.projection import PAGE_TABLES, read_table
from imaging.query import run_query
from imaging.zarr_check import check_plate
from imaging.zarr_plate import read_planes, read_plate_sites
from tests.following import follow
from tests.imaging.small_plate import EXPERIMENT, WELLS, draw_cells, make_job, read_rows

STACKS = (
    EXPERIMENT.replace("sites: 1}", "sites: 1, z: 3}")
    .replace("(?P<channel>w[0-9])", "(?P<channel>w[0-9])_z(?P<z>[0-9])")
    .replace("{name: v1", "{name: v1, PROJECTION")
)
SERIES = EXPERIMENT.replace("sites: 1}", "sites: 1, time_points: 2}").replace(
    "(?P<channel>w[0-9])", "(?P<channel>w[0-9])_t(?P<t>[0-9])"
)
AREA = "Nuclei_AreaShape_Area"


def decode(data: bytes) -> np.ndarray:
    return tifffile.imread(io.BytesIO(data))


def stacks() -> dict[str, bytes]:
    """Three planes per image, of which the second is the sharpest."""
    return {
        f"{well}_{code}_z{z}.tif": draw_cells(100 * number + 10 * z + int(code[1]), brightness=60 + 60 * (z == 2))
        for number, well in enumerate(WELLS)
        for code in ("w1", "w2")
        for z in (1, 2, 3)
    }


def series() -> dict[str, bytes]:
    """Two time points; the nuclei of the second are larger."""
    return {
        f"{well}_{code}_t{t}.tif": draw_cells(100 * number + 10 * t + int(code[1]), radius=5.0 + 2 * t)
        for number, well in enumerate(WELLS)
        for code in ("w1", "w2")
        for t in (1, 2)
    }


@pytest.mark.parametrize("method", ["max", "mean", "best-focus"])
def test_a_stack_is_stored_and_measured_as_its_projection(tmp_path: Path, method: str) -> None:
    images = stacks()
    job = make_job(tmp_path, images=images, text=STACKS.replace("PROJECTION", f"projection: {method}"))
    publication = follow(job)
    (row,) = [row for row in read_rows(job, publication, "images") if (row["well"], row["channel"]) == ("A01", "DNA")]
    assert (row["planes_expected"], row["planes_arrived"], row["planes_measured"]) == (3, 3, 3)
    assert row["name"] == ("A01_w1_z2.tif" if method == "best-focus" else "A01_w1_z1.tif")
    planes = np.stack([decode(images[f"A01_w1_z{z}.tif"]) for z in (1, 2, 3)])
    wanted = {
        "max": planes.max(axis=0),
        "mean": np.floor(planes.mean(axis=0) + 0.5).astype(np.uint8),
        "best-focus": planes[1],
    }[method]
    (_, group) = read_plate_sites(job.store, job.zarr)["A01"][0]
    np.testing.assert_array_equal(read_planes(job.store, job.zarr, group)[0], wanted)
    assert row["MeanIntensity"] == pytest.approx(wanted.mean() / 255)


def test_one_plane_of_a_stack_is_taken_by_number(tmp_path: Path) -> None:
    job = make_job(tmp_path, images=stacks(), text=STACKS.replace("PROJECTION", "plane: 3"))
    rows = read_rows(job, follow(job), "images")
    assert {row["name"] for row in rows} == {f"{well}_{code}_z3.tif" for well in WELLS for code in ("w1", "w2")}
    assert {row["planes_expected"] for row in rows} == {1}
    assert job.arrivals.unused == 16


def test_a_stack_that_lacks_a_plane_is_projected_without_it_once_patience_ran_out(tmp_path: Path) -> None:
    images = stacks()
    late = images.pop("A01_w1_z2.tif")
    job = make_job(tmp_path, images=images, text=STACKS.replace("PROJECTION", "projection: max"))
    assert follow(job) is None
    publication = follow(job, now=10e9)
    assert publication is not None
    assert publication.status == "with-missing"
    (decision,) = read_rows(job, publication, "decisions")
    assert (decision["well"], decision["channel"], decision["plane"]) == ("A01", "DNA", 2)
    images_of = {(row["well"], row["channel"]): row for row in read_rows(job, publication, "images")}
    row = images_of["A01", "DNA"]
    assert (row["state"], row["planes_expected"], row["planes_measured"]) == ("arrived", 3, 2)
    assert "DNA in A01 site 1: 2 of 3 planes of its z-stack came" in row["reasons"]
    assert read_rows(job, publication, "plates")[0]["status"] == "with-missing"
    before = row["digest"]
    (tmp_path / "raw" / "A01_w1_z2.tif").write_bytes(late)
    publication = follow(job)
    images_of = {(row["well"], row["channel"]): row for row in read_rows(job, publication, "images")}
    assert images_of["A01", "DNA"]["planes_measured"] == 3
    assert images_of["A01", "DNA"]["digest"] != before
    assert read_rows(job, publication, "decisions") == []


def test_an_odd_plane_of_a_stack_is_at_fault_by_itself(tmp_path: Path) -> None:
    images = stacks() | {"A01_w1_z2.tif": draw_cells(1, side=60)}
    job = make_job(tmp_path, images=images, text=STACKS.replace("PROJECTION", "projection: max"))
    publication = follow(job, now=10e9)
    (fault,) = read_rows(job, publication, "faults")
    assert (fault["kind"], fault["name"]) == ("unreadable", "A01_w1_z2.tif")
    assert fault["reason"] == "the plane is 60 x 60 uint8, the first plane of its stack 120 x 120 uint8"


def test_time_points_have_rows_of_their_own_in_every_table(tmp_path: Path) -> None:
    job = make_job(tmp_path, images=series(), text=SERIES)
    publication = follow(job)
    assert publication is not None
    assert publication.status == "complete"
    for table, n in (("images", 8), ("sites", 4), ("wells", 4), ("cells", 36), ("site_runs", 4), ("statistics", 1)):
        counts = Counter(row["time_point"] for row in read_rows(job, publication, table))
        assert counts == {1: n, 2: n}, table
    assert {row["site"] for row in read_rows(job, publication, "sites")} == {1}
    areas = {(row["well"], row["time_point"]): row[AREA] for row in read_rows(job, publication, "wells")}
    assert all(areas[well, 2] > 1.2 * areas[well, 1] for well in WELLS)
    metrics = [row for row in read_rows(job, publication, "plate_metrics") if row["metric"] == "nuclei_count"]
    assert [row["time_point"] for row in metrics] == [1, 2]
    (plate,) = read_rows(job, publication, "plates")
    assert (plate["images_expected"], plate["sites_done"]) == (16, 8)


def test_a_time_series_is_a_sound_ome_zarr_and_its_page_names_time_points(tmp_path: Path) -> None:
    job = make_job(tmp_path, images=series(), text=SERIES)
    publication = follow(job)
    assert publication is not None
    sites = read_plate_sites(job.store, job.zarr)
    assert [number for number, _ in sites["A01"]] == [1, 1001]
    manifests = [json.loads(job.store.read(key)) for key in publication.manifests]
    assert check_plate(job.store, plate_zarr("screen", "P1"), manifests) == []
    tables = {name: read_table(job, publication, name) for name in PAGE_TABLES}
    page = page_from_tables(tables, shape=(4, 6), channels=[("DNA", "#0000ff"), ("GFP", "#00ff00")])
    assert [site.label for site in page.wells[0].sites] == ["", "1, time point 2"]
    assert len(page.wells) == 4
    labels = [metric.label for metric in page.metrics if metric.name.startswith("nuclei_count")]
    assert labels == ["Nuclei count", "Nuclei count (time point 2)"]
    assert page.wells[0].values["nuclei_count@2"] == 9
    assert next(count.value for count in page.counts if count.label == "Wells") == 4


def test_views_do_not_mix_time_points(tmp_path: Path) -> None:
    job = make_job(tmp_path, images=series(), text=SERIES)
    follow(job)
    sql = "SELECT time_point, COUNT(*) AS n, AVG(value) AS mean FROM well_heatmap WHERE metric = 'nuclei_count'"
    rows = run_query(job.store, f"{sql} GROUP BY time_point ORDER BY time_point").to_pylist()
    assert rows == [{"time_point": 1, "n": 4, "mean": 9.0}, {"time_point": 2, "n": 4, "mean": 9.0}]
    (row,) = run_query(job.store, "SELECT COUNT(*) AS n FROM dose_response WHERE treatment = 'DMSO'").to_pylist()
    assert row["n"] == 2


def test_a_missing_image_of_a_later_time_point_says_when(tmp_path: Path) -> None:
    images = series()
    del images["B01_w1_t2.tif"], images["B01_w2_t2.tif"]
    job = make_job(tmp_path, images=images, text=SERIES)
    publication = follow(job, now=10e9)
    (site,) = [row for row in read_rows(job, publication, "sites") if row["state"] == "missing"]
    assert (site["well"], site["site"], site["time_point"]) == ("B01", 1, 2)
    assert site["reasons"] == ["B01 site 1 at time point 2: no image of the site came"]
    assert {row["time_point"] for row in read_rows(job, publication, "decisions")} == {2}


def test_pages_of_one_file_are_planes_with_faults_of_their_own(tmp_path: Path) -> None:
    """Planes inside an object are read by the word for their place, and one that is not there is one fault."""
    buffer = io.BytesIO()
    pages = np.stack([np.full((16, 16), value, np.uint16) for value in (5, 9, 7)])
    tifffile.imwrite(buffer, pages, photometric="minisblack", metadata=None)
    job = make_job(tmp_path, images={"stack.tif": buffer.getvalue(), "A01_w1.tif": draw_cells(1)})
    (tmp_path / "raw" / "A01_w2.tif").write_bytes(draw_cells(2))
    site = job.survey().todo[0]
    (item,) = [item for item in job.raw.list("").objects if item.key == "stack.tif"]
    file = replace(site.files["DNA"], name="stack.tif", token=item.token, size_bytes=item.size)
    planes = tuple(replace(file, inside=str(Inside(page=page)), z=page) for page in (1, 2, 3))
    plan = replace(site, files={"DNA": planes[0]}, stacks=(("DNA", planes),), others=())
    reading = read_site(job.raw, "", plan, {"projection": "max"})
    assert (reading.planes["DNA"] == 9).all()
    assert [plane["name"] for plane in reading.images[0]["planes"]] == [f"stack.tif (page {n})" for n in (1, 2, 3)]
    gone = replace(planes[2], inside=str(Inside(page=8)))
    broken = read_site(job.raw, "", replace(plan, stacks=(("DNA", (*planes[:2], gone)),)), {"projection": "max"})
    assert [(channel, fault.inside) for channel, fault, _ in broken.faults] == [("DNA", "page 8")]
    assert broken.planes == {}
