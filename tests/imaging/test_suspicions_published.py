"""Suspicions as a publication tells them: rows, reasons, what they are compared with, and nothing changed by them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from imaging.acquisitions import decision_key
from imaging.experiment import read_experiment
from imaging.job import PlateJob
from imaging.publication import Publication, is_current, publish
from imaging.query import run_query
from imaging.records import publication_key
from imaging.store import FolderStore
from imaging.suspicions.portrait import list_portraits
from tests.following import follow
from tests.imaging.small_plate import EXPERIMENT, PLATE_MAP, draw_cells, draw_plate, read_rows

SWAPPED = EXPERIMENT.replace("code: w1, role: nucleus", "code: w2, role: nucleus").replace(
    "GFP, code: w2", "GFP, code: w1"
)
BARCODE = EXPERIMENT + "barcode: '^(?P<barcode>[^_]+)'\n"


class Lab:
    """Plates of one experiment in one store."""

    def __init__(self, folder: Path) -> None:
        self.store = FolderStore(folder)
        self.store.write("experiments/screen/map.csv", PLATE_MAP.encode())

    def job(self, plate: str, text: str = EXPERIMENT) -> PlateJob:
        maps, raw = "experiments/screen/", f"raw/screen/{plate}/"
        return PlateJob(self.store, self.store, raw, read_experiment(text.encode()), plate, self.store, maps, 0.0)

    def image(self, plate: str, text: str = EXPERIMENT, images: dict[str, bytes] | None = None) -> Publication:
        """Upload, process and publish a plate."""
        for name, data in (images or draw_plate()).items():
            self.store.write(f"raw/screen/{plate}/{name}", data)
        publication = follow(self.job(plate, text))
        assert publication is not None
        return publication

    def told(self, plate: str, publication: Publication | None) -> list[dict[str, Any]]:
        return read_rows(self.job(plate), publication, "suspicions")

    def record(self, plate: str, number: int, text: str = EXPERIMENT) -> dict[str, Any]:
        return json.loads(self.store.read(publication_key(self.job(plate, text).prefix, number)))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def other_cells(seed: int) -> dict[str, bytes]:
    """A plate of its own: the same drawing with another noise."""
    return {
        name: draw_cells(seed + at, radius=6.0 if "w1" in name else 13.0)
        for at, name in enumerate(sorted(draw_plate()))
    }


def test_a_right_plate_raises_no_suspicion(lab: Lab) -> None:
    publication = lab.image("P1")
    assert lab.told("P1", publication) == []
    (plate,) = read_rows(lab.job("P1"), publication, "plates")
    assert plate["verdict"] == "pass"
    assert lab.record("P1", 1)["compared"] == []


def test_swapped_channels_are_a_row_and_a_warning_and_change_no_value(lab: Lab) -> None:
    publication = lab.image("P1", SWAPPED)
    job = lab.job("P1", SWAPPED)
    (row,) = read_rows(job, publication, "suspicions")
    assert (row["plate"], row["kind"], row["points_to"]) == ("P1", "swapped channels", "GFP")
    assert row["score"] > row["threshold"] == 0.12
    (plate,) = read_rows(job, publication, "plates")
    assert plate["verdict"] == "warn"
    assert f"the plate: {row['evidence']}" in plate["reasons"]
    silent = lab.job("P1", SWAPPED.replace("analysis: {", "analysis: {suspicions: {swapped_channels: off}, "))
    again = follow(silent)
    assert again is not None
    assert again.number == 2
    assert read_rows(silent, again, "suspicions") == []
    assert _without_run(read_rows(silent, again, "wells")) == _without_run(read_rows(job, publication, "wells"))


def _without_run(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "run"} for row in rows]


def test_a_plate_uploaded_under_a_second_name_is_told_of_the_first(lab: Lab) -> None:
    lab.image("P1")
    publication = lab.image("P2")
    (row,) = lab.told("P2", publication)
    assert (row["kind"], row["points_to"], row["score"]) == ("same images", "P1", 1.0)
    assert row["evidence"].startswith("8 of 8 compared images have the same content as images of P1")
    sql = "SELECT plate, kind, points_to FROM suspicions"
    assert run_query(lab.store, sql).to_pylist() == [{"plate": "P2", "kind": "same images", "points_to": "P1"}]


def test_no_plate_is_published_again_because_of_a_later_one(lab: Lab) -> None:
    first = lab.image("P1")
    lab.image("P2")
    again = publish(lab.job("P1"))
    assert again is not None
    assert (again.number, again.run) == (1, first.run)
    assert lab.told("P1", first) == []


def test_a_later_publication_keeps_to_the_plates_of_the_first(lab: Lab) -> None:
    lab.image("P1", images=other_cells(50))
    lab.image("P2")
    lab.image("P3", images=other_cells(90))
    lab.store.write("experiments/screen/map.csv", PLATE_MAP.replace("x,2", "y,2").encode())
    second = follow(lab.job("P2"))
    assert second is not None
    assert second.number == 2
    compared = [lab.record("P2", number)["compared"] for number in (1, 2)]
    assert compared[0] == compared[1]
    assert [key.split("/")[2] for key in compared[0]] == ["P1"]


def test_a_portrait_that_is_gone_or_damaged_is_passed_over(lab: Lab) -> None:
    lab.image("P1")
    (listed,) = list_portraits(lab.store, "screen")
    lab.store.write(listed.key, b"[")
    assert lab.told("P2", lab.image("P2")) == []
    lab.store.delete(listed.key)
    lab.store.write("experiments/screen/map.csv", PLATE_MAP.replace("x,2", "y,2").encode())
    assert follow(lab.job("P2")) is not None


def test_a_second_acquisition_without_a_rule_is_a_warning_and_with_one_is_none(lab: Lab) -> None:
    lab.image("P1_a", BARCODE, images=other_cells(50))
    publication = lab.image("P1_b", BARCODE)
    job = lab.job("P1_b", BARCODE)
    (row,) = read_rows(job, publication, "suspicions")
    assert (row["kind"], row["points_to"]) == ("several acquisitions", "P1_a")
    ruled = lab.job("P1_b", BARCODE + "current_acquisition: first\n")
    assert not is_current(ruled, ruled.survey())


def test_acquisitions_are_decided_upon_when_they_are_published_and_when_the_rule_changes(lab: Lab) -> None:
    current = "SELECT plate FROM acquisitions WHERE is_current"
    for plate, seed in (("P1_a", 50), ("P1_b", 90)):
        lab.image(plate, BARCODE, images=other_cells(seed))
        assert run_query(lab.store, current).to_pylist() == [{"plate": plate}]
    first = BARCODE + "current_acquisition: first\n"
    job = lab.job("P1_b", first)
    publication = follow(job)
    assert run_query(lab.store, current).to_pylist() == [{"plate": "P1_a"}]
    assert is_current(job, job.survey())
    assert lab.told("P1_b", publication) == []
    barcodes = "SELECT plate, barcode FROM plate_runs WHERE number = 1 ORDER BY plate"
    assert [row["barcode"] for row in run_query(lab.store, barcodes).to_pylist()] == ["P1", "P1"]


def test_a_publisher_that_was_killed_before_it_decided_is_made_up_for(lab: Lab) -> None:
    for plate, seed in (("P1_a", 50), ("P1_b", 90)):
        lab.image(plate, BARCODE, images=other_cells(seed))
    job = lab.job("P1_b", BARCODE)
    lab.store.delete(decision_key("screen", "P1", 1))  # what was there when it had published and not decided
    for item in lab.store.list(f"{job.prefix}projected/").objects:
        lab.store.delete(item.key)
    assert not is_current(job, job.survey())
    follow(job)
    assert lab.store.exists(decision_key("screen", "P1", 1))


def test_a_changed_barcode_pattern_publishes_anew_and_frees_what_a_wrong_one_hid(lab: Lab) -> None:
    for plate, seed in (("P1_a", 50), ("P1_b", 90)):
        lab.image(plate, BARCODE, images=other_cells(seed))
    for plate in ("P1_a", "P1_b"):
        follow(lab.job(plate))
    shown = run_query(lab.store, "SELECT DISTINCT plate FROM wells ORDER BY plate").to_pylist()
    assert [row["plate"] for row in shown] == ["P1_a", "P1_b"]
