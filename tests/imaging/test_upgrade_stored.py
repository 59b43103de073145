"""What the oldest supported version stored, see tests/data/upgrade: read, queried, finished and published onward."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from imaging.job import PlateJob, open_job
from imaging.projection import publish_and_project
from imaging.publication import read_publication
from imaging.query import run_query
from imaging.records import manifest_key, publication_key
from imaging.site import read_part
from imaging.store import Store, open_store
from imaging.sweep import find_unreferenced
from imaging.verify import find_folders, verify_plate
from imaging.zarr_check import check_plate
from imaging.zarr_plate import read_labels, read_planes, read_plate_sites, read_thumbnail
from tests.following import follow
from tests.imaging.small_plate import read_rows
from tests.parts import ROOT

STORED = ROOT / "tests" / "data" / "upgrade" / "store.tar.xz"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with tarfile.open(STORED) as archive:
        archive.extractall(tmp_path, filter="data")
    return open_store(str(tmp_path))


def open_plate(store: Store, plate: str) -> PlateJob:
    return open_job(store, "screen", plate, settle_s=0.0)


def answer(store: Store, sql: str) -> list[dict[str, Any]]:
    return run_query(store, sql).to_pylist()


def approx(value: Any) -> Any:
    """A number as equal to those that differ by no more than the last of its digits, anything else as it is."""
    return pytest.approx(value, rel=1e-12, abs=1e-12) if isinstance(value, float) else value


def test_nothing_of_it_is_to_be_done_again(store: Store) -> None:
    states = {plate: Counter(site.state for site in open_plate(store, plate).survey().sites) for plate in ("P1", "P2")}
    assert states == {"P1": {"done": 4}, "P2": {"done": 2, "todo": 2}}
    plan = open_plate(store, "P3").survey()
    assert Counter(site.state for site in plan.sites) == {"done": 4}
    assert [(site.well, site.missing) for site in plan.sites if site.missing] == [("B01", ("GFP",))]
    assert [file.name for *_, file in plan.faulted] == ["B01_w2.tif"]


def test_its_tables_answer_queries(store: Store) -> None:
    assert answer(store, "SELECT plate, verdict IS NOT NULL AS is_judged FROM plates ORDER BY plate") == [
        {"plate": "P1", "is_judged": True},
        {"plate": "P3", "is_judged": True},
    ]
    assert answer(
        store, "SELECT plate, COUNT(*) AS n, SUM(nuclei_count) AS nuclei FROM wells GROUP BY 1 ORDER BY 1"
    ) == [
        {"plate": "P1", "n": 4, "nuclei": 36},
        {"plate": "P3", "n": 4, "nuclei": 36},
    ]
    assert answer(store, "SELECT well, treatment FROM wells WHERE plate = 'P1' AND well = 'B02'") == [
        {"well": "B02", "treatment": "y"}
    ]
    assert answer(store, "SELECT COUNT(*) AS n FROM wells_all WHERE plate = 'P1'") == [{"n": 8}]
    assert answer(store, "SELECT name, kind FROM faults") == [{"name": "B01_w2.tif", "kind": "unreadable"}]
    assert answer(store, "SELECT plate, COUNT(*) AS n FROM cells GROUP BY 1 ORDER BY 1") == [
        {"plate": "P1", "n": 36},
        {"plate": "P3", "n": 36},
    ]
    assert answer(store, "SELECT plate, COUNT(*) AS n FROM sites_live GROUP BY 1") == [{"plate": "P2", "n": 2}]


def test_its_images_and_parts_are_read(store: Store) -> None:
    job = open_plate(store, "P1")
    manifests = [json.loads(store.read(manifest_key(job.prefix, site.name))) for site in job.survey().of("done")]
    assert check_plate(store, job.zarr, manifests) == []
    ((_, group),) = read_plate_sites(store, job.zarr)["A02"]
    assert read_planes(store, job.zarr, group).shape == (2, 120, 120)
    assert read_thumbnail(store, job.zarr, group).shape[0] == 2
    assert {name: int(labels.max()) for name, labels in read_labels(store, job.zarr, group).items()} == {
        "Nuclei": 9,
        "Cells": 9,
    }
    assert [read_part(store, manifest).num_rows for manifest in manifests] == [9, 9, 9, 9]


def test_a_plate_begun_by_it_is_finished_with_the_values_of_one_that_it_measured_whole(store: Store) -> None:
    """The upgrade in the middle of a plate: what is done stays, what is measured now is what it would have measured."""
    job = open_plate(store, "P2")
    before = {item.key for item in store.list(f"{job.prefix}sites/").objects}
    publication = follow(job)
    assert publication is not None
    assert publication.status == "complete"
    after = {item.key for item in store.list(f"{job.prefix}sites/").objects}
    assert before <= after
    assert len(after) == 4
    whole = read_publication(open_plate(store, "P1"), 2)
    for table in ("cells", "images", "sites"):
        old, new = read_rows(open_plate(store, "P1"), whole, table), read_rows(job, publication, table)
        named = old[0].keys() - {"plate", "run"}
        # the older plate was measured on another machine, whose processor may add in another order
        close = [{name: approx(row[name]) for name in named} for row in old]
        assert [{name: row[name] for name in named} for row in new] == close, table


def test_its_plates_are_published_onward_without_a_pixel(store: Store) -> None:
    for plate, number in (("P1", 2), ("P3", 1)):
        job = open_plate(store, plate)
        old = read_rows(job, read_publication(job, number), "cells")
        sites = {item.key: item.token for item in store.list(f"{job.prefix}sites/").objects}
        publication = publish_and_project(job)
        assert publication is not None
        assert {item.key: item.token for item in store.list(f"{job.prefix}sites/").objects} == sites
        new = read_rows(job, publication, "cells")
        assert [{**row, "run": None} for row in new] == [
            {name: row.get(name) for name in new[0]} | {"run": None, "time_point": 1} for row in old
        ]
        assert store.exists(f"{job.prefix}page/index.html")
        assert publish_and_project(open_plate(store, plate)) == publication
        record = json.loads(store.read(publication_key(job.prefix, publication.number)))
        assert len(record["manifest_sums"]) == len(record["manifests"])


def test_it_verifies_but_for_the_pages_that_are_not_kept(store: Store) -> None:
    for folder in find_folders(store):
        found = verify_plate(store, folder)
        assert [(item.what, item.fault) for item in found.damages] == (
            [] if folder[1] == "P2" else [("page", "is missing")]
        )
        if folder[1] != "P2":
            assert found.unprotected["published tables of earlier versions (read whole instead)"] > 10


def test_nothing_of_it_is_swept(store: Store) -> None:
    for plate in ("P1", "P2", "P3"):
        assert find_unreferenced(open_plate(store, plate), now=4e9) == []
