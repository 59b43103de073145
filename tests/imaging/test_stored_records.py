"""Records of ours that were damaged: each reader says which and what to do, and nothing else falls over them."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from imaging.acquisitions import decide_acquisition, decision_rows, find_acquisitions, read_decision
from imaging.columns import read_time
from imaging.errors import LostDataError, StoredDataError
from imaging.history import look_up_history, plate_history
from imaging.job import PlateJob, open_job
from imaging.names import to_json
from imaging.promotions import read_promotions
from imaging.publication import read_manifests, read_publication
from imaging.reconciliation import reconcile
from imaging.records import missing_key, pins_key, publication_key
from imaging.steps import decide_missing
from imaging.store import FolderStore, open_store
from imaging.stored_records import PUBLICATION, SITE, find_fault, parse_record
from imaging.sweep import find_unreferenced
from imaging.table_schema import INTEGER, Column, Table, table_of_records
from tests.imaging import small_screen as screen

_NUMBERS = itertools.count()
DAMAGED = [b"", b"null", b"1.5", b"[]", b"{}", b"\xff", b'{"number": 1', b"[" * 100_000]


@pytest.fixture
def job() -> PlateJob:
    store = open_store(f"memory://stored-records-{next(_NUMBERS)}")
    store.write("experiments/screen/experiment.yaml", screen.YAML)
    return open_job(store, "screen", "P1", settle_s=0.0)


def write_publication(job: PlateJob, **changes: Any) -> dict[str, Any]:
    """A publication of the job's plate without tables."""
    record = {"number": 1, "run": "r", "status": "complete", "experiment": "screen", "plate": job.plate}
    record |= {"recipe": job.recipe, "tables": {}, "manifests": [], "published_at": "2026-02-03T05:00:00+00:00"}
    job.store.write(publication_key(job.prefix, 1), to_json(record | changes))
    return record | changes


@pytest.mark.parametrize("data", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_publication_is_named_by_whoever_needs_it_and_passed_over_by_others(
    job: PlateJob, data: bytes
) -> None:
    key = publication_key(job.prefix, 1)
    job.store.write(key, data)
    for read in (lambda: read_publication(job, 1), lambda: find_unreferenced(job)):
        with pytest.raises(StoredDataError, match="the record is damaged: it") as caught:
            read()
        assert caught.value.key == key
    assert plate_history(job, [1]).plates == ()
    assert look_up_history(open_job(job.store, "screen", "P2")).plates == ()
    assert find_acquisitions(job.store, job.experiment, "P1") == []


@pytest.mark.parametrize("data", DAMAGED, ids=range(len(DAMAGED)))
def test_damaged_pins_are_named(job: PlateJob, data: bytes) -> None:
    job.store.write(pins_key(job.prefix), data)
    with pytest.raises(StoredDataError, match=r"pins[.]json") as caught:
        job.survey()
    assert "platestream repair mends it" in str(caught.value)


@pytest.mark.parametrize("data", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_manifest_is_a_lost_one(job: PlateJob, data: bytes) -> None:
    key = f"{job.prefix}sites/A01-1-x.json"
    job.store.write(key, data)
    with pytest.raises(LostDataError):
        read_manifests(job.store, job.prefix, ["A01-1-x"])
    with pytest.raises(StoredDataError, match="A01-1-x"):
        find_unreferenced(job)


@pytest.mark.parametrize("data", [*DAMAGED, b'{"well": [], "site": 1, "channel": "DNA", "by": "x", "reason": "y"}'])
def test_a_damaged_decision_is_named(job: PlateJob, data: bytes) -> None:
    decide_missing(job, "A01", 1, "DNA")
    job.store.write(missing_key(job.prefix, "A01", 1, "DNA"), data)
    with pytest.raises(StoredDataError, match="missing-A01-1-DNA"):
        reconcile(job)


@pytest.mark.parametrize("data", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_decision_about_acquisitions_is_named(job: PlateJob, data: bytes) -> None:
    job.store.write("results/screen/_acquisitions/P1/000001.json", data)
    for read in (
        lambda: read_decision(job.store, "screen", "P1", 1),
        lambda: decide_acquisition(job.store, job.experiment, "P1"),
    ):
        with pytest.raises(StoredDataError, match="it is decided again"):
            read()


@pytest.mark.parametrize("published_at", ["yesterday", "", None, 5])
def test_a_publication_without_a_moment_is_no_acquisition(job: PlateJob, published_at: object) -> None:
    write_publication(job, published_at=published_at)
    assert find_acquisitions(job.store, job.experiment, "P1") == []
    write_publication(job)
    assert [item.plate for item in find_acquisitions(job.store, job.experiment, "P1")] == ["P1"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda record: record.pop("run"), "it lacks run"),
        (lambda record: record.update(number="1"), "number is not a whole number"),
        (lambda record: record.update(number=True), "number is not a whole number"),
        (lambda record: record.update(tables={"wells": 5}), "tables.'wells' is not a text"),
        (lambda record: record.update(manifests=["a", ["b"]]), r"manifests\[1\] is not a text"),
        (lambda record: record.update(manifests={}), "manifests is no list"),
        (lambda record: record.update(history=[{"plate": "P0"}]), r"history\[0\] lacks run"),
        (lambda record: record.update(illumination={"fields": {"all": None}}), "fields.'all' holds no names"),
    ],
)
def test_what_is_wrong_with_a_record_is_said(
    job: PlateJob, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    record = write_publication(job)
    change(record)
    job.store.write(publication_key(job.prefix, 1), json.dumps(record).encode())
    with pytest.raises(StoredDataError, match=words):
        read_publication(job, 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda record: record["images"][0].update(digest=["x"]), "images[0].digest is not a text"),
        (lambda record: record["images"][0].pop("digest"), "images[0] lacks digest"),
        (lambda record: record["counts"].update(Nuclei={"key": "x"}), "counts.Nuclei is not a whole number"),
        (
            lambda record: record["image_metrics"][0].update(FocusScore="1"),
            "image_metrics[0].FocusScore is not a number",
        ),
    ],
)
def test_what_is_wrong_with_a_site_is_said(change: Callable[[dict[str, Any]], Any], words: str) -> None:
    record = json.loads(to_json(screen.manifest("A01", 1)))
    change(record)
    assert find_fault(record, SITE).endswith(words)


def test_records_of_other_versions_may_say_more_or_leave_out_what_is_new() -> None:
    record = screen.manifest("A01", 1) | {"later": [1]}
    assert find_fault(record, SITE) == ""
    for name in ("part", "image_part", "zarr", "provenance"):
        record[name] = None
        assert find_fault(record, SITE) == ""
        del record[name]
        assert find_fault(record, SITE) == ""
    first = {"number": 1, "run": "r", "status": "withdrawn", "experiment": "e", "plate": "p", "recipe": "r"}
    assert find_fault(first, PUBLICATION) == ""


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda record: record.pop("plate"), "it lacks plate"),
        (lambda record: record["images"][0].update(height="8"), "images[0].height is not a whole number"),
        (lambda record: record["images"][0].update(modified=math.nan), "images[0].modified is not a number"),
        (lambda record: record.update(provenance=1.5), "provenance holds no names and values"),
        (lambda record: record.update(provenance={"cost": math.inf}), "provenance.cost is not a number"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_said(change: Callable[[dict[str, Any]], Any], fault: str) -> None:
    record = screen.manifest("A01", 1)
    change(record)
    assert find_fault(record, SITE) == fault


def test_a_good_record_counts_as_before(job: PlateJob) -> None:
    write_publication(job, tables={"wells": "w.parquet"}, manifests=["a.json"])
    found = read_publication(job, 1)
    assert (found.run, found.tables, found.manifests) == ("r", {"wells": "w.parquet"}, ("a.json",))


def test_a_record_with_what_is_no_json_is_damaged(job: PlateJob) -> None:
    with pytest.raises(StoredDataError, match="it is no JSON"):
        parse_record(b'{"number": NaN}', {"number": float}, key="pins.json", cure="repair it")
    with pytest.raises(StoredDataError, match="it is no JSON"):
        parse_record(b'{"name": "\\ud800"}', {"name": str}, key="pins.json", cure="repair it")


def test_a_promotion_whose_value_is_of_another_kind_is_damaged(folder_store: FolderStore) -> None:
    said = {"number": 1, "recipe": "v1-0", "name": "v1", "instead_of": {}, "because": "", "promoted_at": "2026-01-01"}
    folder_store.write("experiments/screen/promotions/000001.json", json.dumps(said | {"declared": {}}).encode())
    with pytest.raises(StoredDataError, match="the record of a promotion is gone or damaged"):
        read_promotions(folder_store, "screen")
    said |= {"instead_of": "v0-0", "declared": {}, "promoted_at": "2026-02-11T05:00:/:00"}
    folder_store.write("experiments/screen/promotions/000001.json", json.dumps(said).encode())
    with pytest.raises(StoredDataError, match="the record of a promotion is gone or damaged"):
        read_promotions(folder_store, "screen")


def test_a_time_of_another_kind_is_no_time() -> None:
    with pytest.raises(ValueError, match=r"\['x'\] is no time"):
        read_time(["x"])  # type: ignore[arg-type]


def test_an_acquisition_without_its_first_image_has_none() -> None:
    said = {"experiment": "screen", "barcode": "P1", "number": 1, "reason": "", "decided_by": "", "decided_at": ""}
    said |= {"by_hand": None, "rule": "newest"}
    known = [{"plate": "P1", "status": "complete"}, {"plate": "P2", "status": "complete", "first_image_at": 5.0}]
    rows = decision_rows(said | {"plate": "P1", "acquisitions": known})
    assert [row["first_image_at"] for row in rows] == [None, 5.0]


def test_rows_of_records_with_a_value_of_another_kind_are_damage_and_not_a_crash() -> None:
    table = Table("things", "", (Column("size", INTEGER, "", ""),))
    assert table_of_records(table, [{"size": 5}]).to_pylist() == [{"size": 5}]
    with pytest.raises(StoredDataError, match="a record that things shows is damaged"):
        table_of_records(table, [{"size": "B03"}])
