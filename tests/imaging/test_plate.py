"""A whole small plate: processed, processed again, damaged, changed."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from imaging.job import PlateJob
from imaging.projection import page_folder
from imaging.publication import Publication, is_current
from imaging.query import run_query
from imaging.records import attempt_key, manifest_key, publication_key
from imaging.site import read_part
from imaging.steps import record_attempt
from tests.following import follow
from tests.imaging.small_plate import EXPERIMENT, PLATE_MAP, draw_cells, draw_plate, make_job, object_states, read_rows

LATER = 4e9  # long after every patience


@pytest.fixture
def images() -> dict[str, bytes]:
    return draw_plate()


def test_a_finished_plate_is_published_with_its_map_and_its_page(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    publication = follow(job)
    assert publication is not None
    assert publication.status == "complete"
    wells = read_rows(job, publication, "wells")
    assert [(row["well"], row["treatment"], row["control"], row["nuclei_count"]) for row in wells] == [
        ("A01", "DMSO", "negcon", 9),
        ("A02", "DMSO", "negcon", 9),
        ("B01", "x", "poscon", 9),
        ("B02", "x", "poscon", 9),
    ]
    assert job.store.exists(f"{page_folder(job)}index.html")
    assert job.store.exists(f"{job.zarr}/zarr.json")


def test_the_same_plate_again_changes_no_object(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    follow(job)
    before = object_states(job)
    follow(job)
    assert object_states(job) == before


def test_one_lost_site_is_redone_alone_and_gives_the_same_values(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    first = follow(job)
    tables = values_of(job, first)
    site = job.survey().of("done")[1]
    manifest = manifest_key(job.prefix, site.name)
    lost = json.loads(job.store.read(manifest))
    cells = read_part(job.store, lost)
    job.store.delete(lost["part"]["key"])
    job.store.delete(manifest)
    before = object_states(job)
    assert [item.well for item in job.survey().todo] == ["A02"]
    again = follow(job)
    assert again is not None
    assert again.number == 2
    assert values_of(job, again) == tables
    redone = json.loads(job.store.read(manifest))
    assert redone["part"]["key"] != lost["part"]["key"]
    assert read_part(job.store, redone).equals(cells)
    assert redone["image_metrics"] == lost["image_metrics"]
    new = object_states(job).keys() - before.keys()
    of_sites = {key for key in new if any(part in key for part in ("/sites/", "/parts/", ".zarr/"))}
    assert of_sites
    assert all("A02-1" in key or "/A/2/" in key for key in of_sites)


def values_of(job: PlateJob, publication: Publication | None) -> dict[str, list[dict[str, Any]]]:
    """Rows of a publication, but for the name of the run."""
    names = ("wells", "cells", "images")
    return {name: [{**row, "run": None} for row in read_rows(job, publication, name)] for name in names}


def test_a_lost_part_is_noticed_when_a_publication_needs_it_and_made_again(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    follow(job)
    manifest = json.loads(job.store.read(manifest_key(job.prefix, job.survey().of("done")[0].name)))
    job.store.delete(manifest["part"]["key"])
    (tmp_path / "maps" / "map.csv").write_text(PLATE_MAP.replace("x,2", "y,2"))
    follow(job)
    publication = follow(job)
    assert publication is not None
    assert publication.number == 2
    assert len(read_rows(job, publication, "cells")) == 36


def test_an_edited_plate_map_publishes_anew_without_touching_a_pixel(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    first = follow(job)
    before = object_states(job)
    (tmp_path / "maps" / "map.csv").write_text(PLATE_MAP.replace("x,2", "y,2"))
    second = follow(job)
    assert first is not None
    assert second is not None
    assert second.number == 2
    assert read_rows(job, second, "wells")[3]["treatment"] == "y"
    touched = {key for key, token in object_states(job).items() if before.get(key) != token}
    assert not {key for key in touched if "/sites/" in key or "/parts/" in key or "/s1x" in key}


def test_a_damaged_image_is_a_fault_and_its_replacement_heals_the_site(
    tmp_path: Path, images: dict[str, bytes]
) -> None:
    good = images["B01_w1.tif"]
    job = make_job(tmp_path, images={**images, "B01_w1.tif": good[: len(good) // 2]})
    assert follow(job) is None
    plan = job.survey()
    assert [(site.well, site.awaited) for site in plan.of("waiting")] == [("B01", ("DNA",))]
    assert [file.name for *_, file in plan.faulted] == ["B01_w1.tif"]
    (tmp_path / "raw" / "B01_w1.tif").write_bytes(good)
    publication = follow(job)
    assert publication is not None
    assert publication.status == "complete"


def test_a_damaged_image_that_is_never_replaced_costs_its_channel_only(
    tmp_path: Path, images: dict[str, bytes]
) -> None:
    job = make_job(tmp_path, images={**images, "B01_w2.tif": b""})
    publication = follow(job, now=LATER)
    assert publication is not None
    assert publication.status == "with-missing"
    rows = {(row["well"], row["channel"]): row for row in read_rows(job, publication, "images")}
    assert rows["B01", "GFP"]["state"] == "faulted"
    assert rows["B01", "DNA"]["state"] == "arrived"
    assert [row["kind"] for row in read_rows(job, publication, "faults")] == ["unreadable"]
    assert read_rows(job, publication, "wells")[2]["nuclei_count"] == 9


def test_an_image_after_publication_publishes_anew(tmp_path: Path, images: dict[str, bytes]) -> None:
    late = images.pop("A02_w2.tif")
    job = make_job(tmp_path, images=images)
    first = follow(job, now=LATER)
    (tmp_path / "raw" / "A02_w2.tif").write_bytes(late)
    second = follow(job)
    assert first is not None
    assert second is not None
    assert (first.status, second.status) == ("with-missing", "complete")
    assert second.number == 2
    calm = make_job(tmp_path / "calm")
    expected = follow(calm)
    assert read_rows(job, second, "cells") == read_rows(calm, expected, "cells")


def test_a_plate_without_a_whole_site_says_so(tmp_path: Path, images: dict[str, bytes]) -> None:
    job = make_job(tmp_path, images={name: data for name, data in images.items() if "B02" not in name})
    publication = follow(job, now=LATER)
    states = {row["well"]: row["state"] for row in read_rows(job, publication, "sites")}
    assert states == {"A01": "done", "A02": "done", "B01": "done", "B02": "missing"}


def test_names_that_fit_no_pattern_and_second_names_are_faults(tmp_path: Path, images: dict[str, bytes]) -> None:
    job = make_job(tmp_path, images={**images, "notes.txt": b"hello", "C01_w1.tif": images["A01_w1.tif"]})
    (tmp_path / "raw" / "again").mkdir()
    (tmp_path / "raw" / "again" / "A01_w1.tif").write_bytes(images["A01_w1.tif"])
    (tmp_path / "raw" / "again" / "A02_w1.tif").write_bytes(draw_cells(99))
    publication = follow(job)
    faults = {(row["kind"], row["name"]) for row in read_rows(job, publication, "faults")}
    assert ("unknown", "notes.txt") in faults
    assert ("unknown", "C01_w1.tif") in faults
    assert ("superseded", "A02_w1.tif") in faults
    assert {kind for kind, name in faults if name.endswith("A01_w1.tif") and "C01" not in name} == {"duplicate"}


def test_images_of_different_sizes_fail_their_site_with_the_reason(tmp_path: Path, images: dict[str, bytes]) -> None:
    from imaging.measure import measure_planes
    from imaging.site import process_site
    from imaging.steps import site_task

    job = make_job(tmp_path, images={**images, "A01_w2.tif": draw_cells(1, side=100)})
    job.ensure_pins()
    for _ in range(3):
        site = job.survey().todo[0]
        with pytest.raises(ValueError, match="DNA 120 x 120, GFP 100 x 100") as caught:
            process_site(site_task(job, site), measure_planes)
        record_attempt(job, site, str(caught.value))
    publication = follow(job)
    assert publication is not None
    assert publication.status == "with-missing"
    assert read_rows(job, publication, "sites")[0]["state"] == "failed"


def test_two_followers_record_one_failure_once(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    site = job.survey().todo[0]
    record_attempt(job, site, "ValueError: no")
    record_attempt(job, site, "ValueError: another")
    assert job.survey().todo[0].attempts == 1
    assert json.loads(job.store.read(attempt_key(job.prefix, site.name, 1)))["reason"] == "ValueError: no"


def test_an_undeclared_plate_is_processed_and_flagged(tmp_path: Path) -> None:
    job = make_job(tmp_path, text=EXPERIMENT + "plates: [P7]\n")
    rows = read_rows(job, follow(job), "plates")
    assert [row["is_declared"] for row in rows] == [False]


def test_every_record_names_experiment_plate_and_recipe(tmp_path: Path, images: dict[str, bytes]) -> None:
    job = make_job(tmp_path, images={**images, "B01_w2.tif": b"no image"})
    follow(job, now=LATER)
    last = json.loads(job.store.read(publication_key(job.prefix, 1)))
    assert last["run"]
    folders = ("sites/", "faults/", "decisions/", "publications/")
    for item in job.store.list(job.prefix).objects:
        if item.key.removeprefix(job.prefix).startswith(folders):
            record = json.loads(job.store.read(item.key))
            assert (record["experiment"], record["plate"], record["recipe"]) == ("screen", "P1", job.recipe)


def test_a_young_local_file_is_not_there_yet(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    hurried = type(job)(job.store, job.raw, "", job.experiment, "P1", job.maps, "", settle_s=3600.0)
    assert not hurried.survey().has_arrivals
    assert job.survey(time.time()).has_arrivals


def test_a_replaced_file_stays_in_the_fault_records_and_leaves_the_faults(
    tmp_path: Path, images: dict[str, bytes]
) -> None:
    job = make_job(tmp_path, images={**images, "B01_w1.tif": images["B01_w1.tif"][:200]})
    follow(job)
    (tmp_path / "raw" / "B01_w1.tif").write_bytes(images["B01_w1.tif"])
    follow(job)
    records = run_query(job.store, "SELECT plate, well, channel, name, size_bytes FROM fault_records").to_pylist()
    assert records == [{"plate": "P1", "well": "B01", "channel": "DNA", "name": "B01_w1.tif", "size_bytes": 200}]
    assert run_query(job.store, "SELECT name FROM faults").to_pylist() == []


def test_deleted_pixels_cost_the_page_its_pictures_and_nothing_else(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    follow(job)
    shutil.rmtree(tmp_path / "store" / "images")
    (tmp_path / "maps" / "map.csv").write_text(PLATE_MAP.replace("x,2", "y,2"))
    publication = follow(job)
    assert publication is not None
    assert publication.number == 2
    assert is_current(job, job.survey())


def test_a_damaged_manifest_is_noticed_and_its_site_made_again(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    follow(job)
    job.store.write(manifest_key(job.prefix, job.survey().of("done")[0].name), b"")
    (tmp_path / "maps" / "map.csv").write_text(PLATE_MAP.replace("x,2", "y,2"))
    follow(job)
    publication = follow(job)
    assert publication is not None
    assert len(read_rows(job, publication, "sites")) == 4
    assert publication.number == 2


def test_a_plate_that_was_copied_with_its_old_times_is_waited_for(tmp_path: Path, images: dict[str, bytes]) -> None:
    job = make_job(tmp_path, images={"A01_w1.tif": images["A01_w1.tif"]})
    os.utime(tmp_path / "raw" / "A01_w1.tif", (1e9, 1e9))
    assert not job.survey(time.time()).due
    assert job.survey(time.time() + 100).due
