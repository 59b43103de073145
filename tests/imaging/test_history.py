"""What earlier plates gave: looked up once, named by the publication, kept to by later ones."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from imaging.experiment import read_experiment
from imaging.history import look_up_history, plate_history
from imaging.job import PlateJob
from imaging.names import plate_folders, to_json
from imaging.publication import publish
from imaging.published_marks import mark_published, marks_prefix
from imaging.records import publication_key
from imaging.site import process_site
from imaging.steps import site_task
from imaging.tables import PLATE_METRICS
from imaging.typical import MOST_PLATES, Typical
from tests.imaging.model_store import Clock, ModelStore, Stage
from tests.imaging.test_protocol import FRESH, IMAGES, measure_sum

EXPERIMENT = b"""
name: screen
channels:
  - {name: DNA, role: nucleus, full_scale: 255}
  - {name: GFP, role: cell, full_scale: 255}
layout: {wells: 96, imaged: [A01-A02], sites: 1}
files: {pattern: '(?P<well>[A-H][0-9]+)_(?P<channel>[A-Z]+)[.]tif'}
recipe: {nuclei: {diameter_px: [1, 2]}, features: {families: Intensity, whole_images: no}}
analysis: {outliers: [{metric: MeanIntensity, channel: DNA, against: history, warn_z: 3}]}
images: none
"""
LATE = "P9"


def flat(value: int) -> bytes:
    """A TIFF of one value."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.full((2, 2), value, np.uint8))
    return buffer.getvalue()


class Lab:
    """Plates of one experiment in one store; images of plate Pn have the value n."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = ModelStore(f"memory://history-{next(FRESH)}", self.clock)
        self.raw = ModelStore("memory://raw", self.clock)
        self.experiment = read_experiment(EXPERIMENT)

    def copy(self) -> Lab:
        """Another lab where the same has happened so far."""
        other = Lab()
        other.clock.now = self.clock.now
        other.store.objects, other.raw.objects = dict(self.store.objects), dict(self.raw.objects)
        return other

    def job(self, plate: str) -> PlateJob:
        return PlateJob(self.store, self.raw, f"{plate}/", self.experiment, plate, self.store, "", 0.0)

    def image(self, plate: str, value: int) -> None:
        """Upload the plate's images and process them."""
        for name in IMAGES:
            self.raw.put(f"{plate}/{name}.tif", flat(value))
        self.process(plate)

    def process(self, plate: str) -> None:
        job = self.job(plate)
        job.ensure_pins()
        for site in job.survey(self.clock.now).todo:
            process_site(site_task(job, site), measure_sum, pins=job.read_pins(), store=self.store, raw=self.raw)

    def publish(self, plate: str, value: int | None = None) -> None:
        """Image, if a value is given, process and publish a plate; a second passes."""
        if value is not None:
            self.image(plate, value)
        self.clock.now += 1
        assert publish(self.job(plate)) is not None

    def records(self, plate: str) -> list[dict[str, Any]]:
        listed = self.store.list(f"{self.job(plate).prefix}publications/").objects
        return [json.loads(self.store.read(item.key)) for item in listed]

    def rows(self, record: dict[str, Any], table: str) -> list[dict[str, Any]]:
        return pq.read_table(io.BytesIO(self.store.read(record["tables"][table]))).to_pylist()

    def metric(self, record: dict[str, Any]) -> dict[str, Any]:
        """The row of the mean intensity of DNA."""
        rows = self.rows(record, PLATE_METRICS.name)
        return next(row for row in rows if (row["channel"], row["metric"]) == ("DNA", "MeanIntensity"))

    def numbers(self) -> dict[str, int]:
        """Publications of each plate."""
        return {plate: len(self.records(plate)) for plate in plate_folders(self.store, "screen")}


@pytest.fixture
def lab() -> Lab:
    """Five published plates of mean intensity 1 to 5."""
    made = Lab()
    for number in range(1, 6):
        made.publish(f"P{number}", number)
    return made


def test_the_first_plate_has_no_history_and_says_so(lab):
    (record,) = lab.records("P1")
    assert record["history"] == []
    row = lab.metric(record)
    assert (row["n_wells"], row["median"], row["history_plates"], row["robust_z"]) == (2, 1.0, 0, None)
    assert row["reason"] == "no earlier plate has a value, 5 are needed"
    (plate,) = lab.rows(record, "plates")
    reason = "MeanIntensity of DNA against earlier plates: no earlier plate has a value, 5 are needed"
    assert reason in plate["not_judged"]


def test_a_publication_names_the_plates_it_was_compared_with_the_newest_first(lab):
    lab.publish(LATE, 40)
    (record,) = lab.records(LATE)
    runs = {plate: lab.records(plate)[0]["run"] for plate in ("P5", "P4", "P3", "P2", "P1")}
    assert record["history"] == [{"plate": plate, "run": run} for plate, run in runs.items()]
    row = lab.metric(record)
    assert (row["history_plates"], row["history_median"]) == (5, 3.0)
    assert row["history_robust_sd"] == pytest.approx(1.4826)
    assert row["robust_z"] == pytest.approx(37 / 1.4826)
    (plate,) = lab.rows(record, "plates")
    assert plate["verdict"] == "warn"
    assert plate["reasons"] == [
        "DNA of the plate: the mean intensity is 40 in the median well, 25.0 robust standard deviations above the "
        "5 earlier plates (typical 3, limit 3)"
    ]


def test_later_plates_publish_no_earlier_one_again(lab):
    lab.publish(LATE, 6)
    lab.publish("P10", 7)
    before = len(lab.store.objects)
    for plate in lab.numbers():
        lab.publish(plate)
    assert len(lab.store.objects) == before
    assert set(lab.numbers().values()) == {1}


def test_a_later_publication_keeps_to_the_history_of_the_first(lab):
    lab.publish(LATE, 6)
    lab.publish("P10", 90)
    lab.publish(LATE, 8)
    one, two = lab.records(LATE)
    assert (one["number"], two["number"]) == (1, 2)
    assert two["history"] == one["history"]
    assert (lab.metric(two)["median"], lab.metric(two)["history_median"]) == (8.0, 3.0)
    assert lab.metric(two)["history_robust_sd"] == lab.metric(one)["history_robust_sd"]


def test_the_history_is_part_of_the_run():
    runs = []
    for earlier in (1, 2):
        lab = Lab()
        lab.publish("P1", earlier)
        lab.publish(LATE, 9)
        runs.append(lab.records(LATE)[0]["run"])
    assert runs[0] != runs[1]


def test_only_the_current_publication_of_a_plate_counts_and_no_withdrawn_one(lab):
    lab.publish("P1", 11)
    prefix = lab.job("P2").prefix
    withdrawn = lab.records("P2")[0] | {"number": 2, "status": "withdrawn"}
    lab.store.create(publication_key(prefix, 2), to_json(withdrawn))
    found = look_up_history(lab.job(LATE))
    assert sorted(plate for plate, _ in found.plates) == ["P1", "P3", "P4", "P5"]
    assert found.medians["DNA", "MeanIntensity"].median == 4.5


def test_a_withdrawn_plate_is_not_published_again_because_of_its_history(lab):
    lab.publish(LATE, 6)
    lab.publish("P10", 7)
    withdrawn = {name: value for name, value in lab.records(LATE)[0].items() if name != "history"}
    lab.store.create(
        publication_key(lab.job(LATE).prefix, 2), to_json(withdrawn | {"number": 2, "status": "withdrawn"})
    )
    lab.publish(LATE)
    assert len(lab.records(LATE)) == 2


def test_a_plate_is_no_history_of_its_own(lab):
    assert [plate for plate, _ in look_up_history(lab.job("P3")).plates] == ["P5", "P4", "P2", "P1"]


def test_another_recipe_and_another_experiment_are_no_history(lab):
    other = read_experiment(EXPERIMENT.replace(b"[1, 2]", b"[1, 3]"))
    elsewhere = read_experiment(EXPERIMENT.replace(b"name: screen", b"name: elsewhere"))
    for experiment in (other, elsewhere):
        job = PlateJob(lab.store, lab.raw, "P9/", experiment, LATE, lab.store, "", 0.0)
        assert look_up_history(job).plates == ()


@pytest.mark.parametrize(
    "damage", ["record is damaged", "record is of an older version", "table is gone", "table is damaged"]
)
def test_plates_whose_numbers_cannot_be_read_are_left_out(lab, damage):
    (record,) = lab.records("P3")
    key, table = publication_key(lab.job("P3").prefix, 1), record["tables"]["plate_metrics"]
    if damage == "record is damaged":
        lab.store.put(key, b"{")
    elif damage == "record is of an older version":
        del record["tables"]["plate_metrics"], record["history"]
        lab.store.put(key, to_json(record))
    elif damage == "table is gone":
        lab.store.delete(table)
    else:
        lab.store.put(table, b"PAR1")
    assert [plate for plate, _ in look_up_history(lab.job(LATE)).plates] == ["P5", "P4", "P2", "P1"]


def test_the_newest_plates_count_and_those_left_out_make_room_for_older_ones():
    lab = Lab()
    for number in range(1, MOST_PLATES + 4):
        lab.publish(f"P{number:02d}", number)
    lab.store.delete(lab.records("P20")[0]["tables"]["plate_metrics"])
    found = look_up_history(lab.job("PX"))
    assert [plate for plate, _ in found.plates] == [f"P{number:02d}" for number in range(23, 2, -1) if number != 20]
    assert found.medians["DNA", "MeanIntensity"].n == MOST_PLATES


def test_a_publication_of_an_older_version_is_published_anew_once_and_then_rests(lab):
    lab.publish(LATE, 6)
    (record,) = lab.records(LATE)
    del record["tables"]["plate_metrics"], record["history"]
    lab.store.put(publication_key(lab.job(LATE).prefix, 1), to_json(record | {"run": "of an older version"}))
    lab.publish(LATE)
    lab.publish(LATE)
    assert [len(record.get("history", "none")) for record in lab.records(LATE)] == [4, 5]


def test_what_is_kept_to_does_not_depend_on_the_plates_still_being_there(lab):
    lab.publish(LATE, 6)
    used = plate_history(lab.job(LATE), [1])
    for key in [key for key in lab.store.objects if key.startswith("results/screen/P1/")]:
        lab.store.delete(key)
    assert plate_history(lab.job(LATE), [1]) == used
    assert used.medians["DNA", "MeanIntensity"] == Typical(5, 3.0, pytest.approx(1.4826))


@pytest.fixture(scope="module")
def busy_lab() -> Lab:
    """Five published plates, one of them to be published again, and two more to be published."""
    made = Lab()
    for number in range(1, 6):
        made.publish(f"P{number}", number)
    for plate, value in ((LATE, 20), ("P10", 30), ("P1", 12)):
        made.image(plate, value)
    return made


@settings(max_examples=20, deadline=None)
@given(order=st.lists(st.integers(0, 3), min_size=40, max_size=120))
def test_publishers_that_race_agree_on_one_history_and_disturb_no_other_plate(busy_lab, order):
    lab = busy_lab.copy()
    stage = Stage()
    lab.store.gate = stage.gate
    jobs = [lab.job(plate) for plate in (LATE, LATE, "P10", "P1")]
    actors = [stage.start(lambda job=job: publish(job), job.plate) for job in jobs]
    for which in order:
        actors[which].step()
    for actor in actors:
        actor.finish()
        if actor.error:
            raise actor.error
    lab.store.gate = lambda verb: ""
    assert lab.numbers() == {"P1": 2, "P10": 1, "P2": 1, "P3": 1, "P4": 1, "P5": 1, LATE: 1}
    runs = {(plate, record["run"]) for plate in lab.numbers() for record in lab.records(plate)}
    for plate in lab.numbers():
        for record in lab.records(plate):
            assert {(used["plate"], used["run"]) for used in record["history"]} <= runs
    before = len(lab.store.objects)
    for plate in lab.numbers():
        lab.publish(plate)
    assert len(lab.store.objects) == before
    assert not lab.store.overwritten


def test_a_table_that_is_damaged_anywhere_is_passed_over(lab):
    (record,) = lab.records("P1")
    key = record["tables"][PLATE_METRICS.name]
    whole = lab.store.read(key)
    for place in range(8, len(whole) - 8, len(whole) // 12):
        lab.store.put(key, whole[:place] + b"\xff\x00\xff\x00" + whole[place + 4 :])
        assert len(look_up_history(lab.job(LATE)).plates) in (4, 5)  # 5 where the damage hits nothing that is read
    lab.store.put(key, whole[: len(whole) // 2])
    assert len(look_up_history(lab.job(LATE)).plates) == 4


def test_a_history_costs_no_listing_of_each_plate_and_is_the_same_without_marks() -> None:
    lab = Lab()
    for number in range(1, 31):
        lab.publish(f"P{number}", number)
    job = lab.job(LATE)
    first = look_up_history(job)  # lays the marks of what was published before there were any
    lab.publish("P5", 200)  # and a publication that nobody marked since
    listed: list[str] = []
    list_all = lab.store.list

    def listing(prefix: str, **options: Any) -> Any:
        listed.append(prefix)
        return list_all(prefix, **options)

    lab.store.list = listing  # type: ignore[method-assign]
    again = look_up_history(job)
    assert len(listed) == 1 + MOST_PLATES
    assert [plate for plate, _ in first.plates] == [plate for plate, _ in again.plates]
    marks = [key for key in lab.store.objects if "/_published/" in key]
    assert len(marks) == 30
    for key in marks:
        del lab.store.objects[key]
    newest = look_up_history(job)
    assert "P5" in [plate for plate, _ in newest.plates]
    mark_published(lab.store, "screen", "P5", job.recipe, 2)
    assert look_up_history(job) == newest


@pytest.mark.parametrize("stray", [".DS_Store", "notes.txt", "P1.json", "P1.000001.soon.json"])
def test_what_a_file_manager_left_among_the_marks_is_passed_over(lab, stray):
    job = lab.job(LATE)
    before = look_up_history(job)
    lab.store.put(f"{marks_prefix('screen', job.recipe)}{stray}", b"left behind")
    assert look_up_history(job) == before
