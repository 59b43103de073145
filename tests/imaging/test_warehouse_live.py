"""Plates in progress in BigQuery: the newest row of each image, until a publication holds it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from imaging.errors import PlacementError, StoreUnavailableError, WarehouseUnavailableError
from imaging.live import PlateFolder
from imaging.names import experiment_key
from imaging.query import run_query
from imaging.store import FolderStore, Store
from imaging.warehouse.live import LiveLoader
from imaging.warehouse.outcomes import Refused
from imaging.warehouse.publications import Loader
from imaging.warehouse.rounds import DAY_S, NEW_S, Rounds
from tests.imaging import small_screen
from tests.imaging.small_screen import manifest, publish, record, write_manifest
from tests.imaging.small_warehouse import counts, open_warehouse, rows
from tests.standins.bigquery_jobs import LOST, BigQueryJobs

NOW = datetime(2026, 2, 3, 12, tzinfo=UTC).timestamp()
MINUTE = 60.0


def rounds_of(bigquery: BigQueryJobs, store: Store) -> Rounds:
    warehouse = open_warehouse(bigquery.client())
    return Rounds(Loader(warehouse, store), LiveLoader(warehouse, store))


def measured_at(moment: str) -> dict[str, Any]:
    provenance = small_screen.manifest("A01", 1)["provenance"]
    return {"provenance": provenance | {"started_at": f"2026-02-03T{moment}+00:00"}}


def told(found: list[dict[str, Any]]) -> list[str]:
    texts = [
        {name: str(value.astimezone(UTC)) if isinstance(value, datetime) else value for name, value in row.items()}
        for row in found
    ]
    return sorted(json.dumps(row, sort_keys=True) for row in texts)


def assert_as_on_duckdb(bigquery: BigQueryJobs, store: Store) -> None:
    for view in ("images_live", "sites_live", "quality_board_live", "fault_records"):
        ours, theirs = (
            run_query(store, f"SELECT * FROM {view}"),
            rows(bigquery.client(), f"SELECT * FROM screens.{view}"),
        )
        assert told(ours.to_pylist()) == told(theirs), view
        if theirs:
            assert list(theirs[0]) == ours.column_names


def test_new_sites_of_all_plates_are_sent_by_one_job_a_table(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore
) -> None:
    rounds = rounds_of(bigquery_jobs, folder_store)
    for plate in ("P1", "P2"):
        write_manifest(folder_store, manifest("A01", 1, plate=plate))
    write_manifest(folder_store, manifest("A02", 2, missing=["RNA"]))
    assert rounds.round(NOW) == {"image_metrics_live": 6, "site_metrics_live": 3}
    assert len(bigquery_jobs.loads()) == 2
    assert_as_on_duckdb(bigquery_jobs, folder_store)
    write_manifest(folder_store, manifest("B01", 1))
    assert rounds.round(NOW + MINUTE) == {"image_metrics_live": 2, "site_metrics_live": 1}
    assert rounds.round(NOW + 2 * MINUTE) == {}
    assert len(bigquery_jobs.loads()) == 4
    assert_as_on_duckdb(bigquery_jobs, folder_store)


def test_the_newest_row_of_an_image_is_shown(bigquery_jobs: BigQueryJobs, folder_store: FolderStore) -> None:
    rounds = rounds_of(bigquery_jobs, folder_store)
    write_manifest(folder_store, manifest("A01", 1))
    rounds.round(NOW)
    newer = manifest("A01", 1, inputs="newer", nuclei=8)
    newer["image_metrics"][0]["PercentSaturated"] = 50.0
    folder_store.write(write_manifest(folder_store, newer), json.dumps(newer).encode())
    folder_store.delete(f"{small_screen.results('P1')}sites/A01-1-A011in.json")
    rounds.round(NOW + MINUTE)
    assert rows(bigquery_jobs.client(), "SELECT nuclei_count FROM screens.sites_live") == [{"nuclei_count": 8}]
    assert counts(bigquery_jobs.client(), "images_live", "image_metrics_live") == {
        "images_live": 2,
        "image_metrics_live": 4,
    }
    assert_as_on_duckdb(bigquery_jobs, folder_store)


def test_a_verdict_that_changed_is_sent_again(bigquery_jobs: BigQueryJobs, folder_store: FolderStore) -> None:
    folder_store.write(experiment_key("screen"), small_screen.YAML)
    rounds = rounds_of(bigquery_jobs, folder_store)
    saturated = manifest("A01", 1)
    saturated["image_metrics"][0]["PercentSaturated"] = 2.5
    write_manifest(folder_store, saturated)
    rounds.round(NOW)
    stricter = small_screen.YAML.replace(b"warn_above: 1, fail_above: 5", b"warn_above: 1, fail_above: 2")
    folder_store.write(experiment_key("screen"), stricter)
    assert rounds.round(NOW + MINUTE)["image_metrics_live"] == 1
    sql = "SELECT verdict FROM screens.images_live WHERE channel = 'DNA'"
    assert rows(bigquery_jobs.client(), sql) == [{"verdict": "fail"}]


def test_what_a_publication_holds_is_live_no_more_and_comes_back_with_a_newer_site(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore
) -> None:
    rounds = rounds_of(bigquery_jobs, folder_store)
    for item in small_screen.manifests():
        write_manifest(folder_store, item)
    rounds.round(NOW)
    assert counts(bigquery_jobs.client(), "images_live", "images") == {"images_live": 24, "images": 0}
    publish(folder_store)
    rounds.round(NOW + MINUTE)
    assert counts(bigquery_jobs.client(), "images_live", "images") == {"images_live": 0, "images": 24}
    write_manifest(folder_store, manifest("A03", 1, inputs="zz", nuclei=9, **measured_at("11:00:00")))
    folder_store.delete(f"{small_screen.results('P1')}sites/A03-1-A031in.json")
    rounds.round(NOW + 2 * MINUTE)
    assert counts(bigquery_jobs.client(), "images_live", "images") == {"images_live": 24, "images": 24}
    assert_as_on_duckdb(bigquery_jobs, folder_store)


def test_a_withdrawn_plate_is_not_live(bigquery_jobs: BigQueryJobs, folder_store: FolderStore) -> None:
    rounds = rounds_of(bigquery_jobs, folder_store)
    write_manifest(folder_store, manifest("A01", 1))
    rounds.round(NOW)
    record(folder_store, 1, status="withdrawn")
    rounds.round(NOW + MINUTE)
    assert counts(bigquery_jobs.client(), "images_live", "plate_runs") == {"images_live": 0, "plate_runs": 1}


def write_fault(store: Store, name: str = "x.tif") -> None:
    fault = {
        "well": "A01",
        "site": 1,
        "channel": "DNA",
        "name": name,
        "token": "t",
        "size_bytes": 3,
        "reason": "cut",
    }
    place = {"experiment": "screen", "plate": "P1", "recipe": small_screen.RECIPE, "found_at": "2026-02-03T05:00:00Z"}
    store.write(f"{small_screen.results('P1')}faults/{name}.json", json.dumps(fault | place).encode())


def test_fault_records_are_sent_once(bigquery_jobs: BigQueryJobs, folder_store: FolderStore) -> None:
    write_fault(folder_store)
    rounds = rounds_of(bigquery_jobs, folder_store)
    assert rounds.round(NOW) == {"fault_records_all": 1}
    assert rounds.round(NOW + MINUTE) == {}
    assert rounds_of(bigquery_jobs, folder_store).round(NOW + MINUTE) == {}
    assert_as_on_duckdb(bigquery_jobs, folder_store)


def test_fault_records_of_closed_plates_are_sent_once_and_none_is_left_out(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore
) -> None:
    publish(folder_store)
    write_fault(folder_store)
    rounds = rounds_of(bigquery_jobs, folder_store)
    assert rounds.round(NOW + 3 * DAY_S) == {"fault_records_all": 1}
    assert rounds.round(NOW + 3 * DAY_S + MINUTE) == {}
    assert rounds.round(NOW + 5 * DAY_S) == {}
    assert rounds_of(bigquery_jobs, folder_store).round(NOW + 5 * DAY_S) == {}
    write_fault(folder_store, "y.tif")
    assert rounds_of(bigquery_jobs, folder_store).round(NOW + 5 * DAY_S)["fault_records_all"] >= 1
    assert counts(bigquery_jobs.client(), "fault_records") == {"fault_records": 2}


def test_a_damaged_record_of_one_plate_holds_back_no_row_of_another(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore, caplog: pytest.LogCaptureFixture
) -> None:
    rounds = rounds_of(bigquery_jobs, folder_store)
    folder_store.write(f"{small_screen.results('P0')}sites/A01-1-x.json", b"[]")
    write_manifest(folder_store, manifest("A01", 1))
    folder_store.write(f"{small_screen.results('P1')}faults/a.json", b"[]")
    write_manifest(folder_store, manifest("A01", 1, plate="P2"))
    assert rounds.round(NOW) == {"image_metrics_live": 2, "site_metrics_live": 1}
    assert rounds.round(NOW + MINUTE) == {}
    assert [caplog.text.count(f"screen/{plate}: ") for plate in ("P0", "P1", "P2")] == [1, 1, 0]
    folder_store.delete(f"{small_screen.results('P1')}faults/a.json")
    assert rounds.round(NOW + 2 * MINUTE) == {"image_metrics_live": 2, "site_metrics_live": 1}
    assert counts(bigquery_jobs.client(), "sites_live") == {"sites_live": 2}


def test_rows_met_by_an_outage_of_the_store_are_sent_afterwards(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = rounds_of(bigquery_jobs, folder_store)
    write_manifest(folder_store, manifest("A01", 1))

    def fail(*_: object) -> list[str]:
        raise StoreUnavailableError("the store is away")

    with monkeypatch.context() as outage:
        outage.setattr("imaging.warehouse.live.list_faults", fail)
        with pytest.raises(StoreUnavailableError):
            rounds.round(NOW)
    assert rounds.round(NOW + MINUTE) == {"image_metrics_live": 2, "site_metrics_live": 1}


def test_nothing_is_kept_of_closed_plates(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(folder_store)
    rounds = rounds_of(bigquery_jobs, folder_store)
    kept: list[int] = []

    def load(folders: list[PlateFolder], _: datetime) -> dict[str, int]:
        kept.append(len(folders) + len(rounds._records))  # before the end of the round already
        return {}

    monkeypatch.setattr(rounds.live, "load", load)
    rounds.round(NOW + 3 * DAY_S)
    assert kept == [0]


def test_a_barred_experiment_is_asked_once_a_round_that_looks_at_it_and_its_plates_are_looked_at_each_hour(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore
) -> None:
    asked: list[str] = []

    def bar(experiment: str) -> None:
        asked.append(experiment)
        raise PlacementError("its data must not lie there")

    for plate in ("P1", "P2"):
        write_manifest(folder_store, manifest("A01", 1, plate=plate))
    warehouse = open_warehouse(bigquery_jobs.client())
    rounds = Rounds(Loader(warehouse, folder_store, admit=bar), LiveLoader(warehouse, folder_store))
    looked: list[tuple[str, str]] = []
    rounds._look, look = (lambda plate, now: looked.append(plate) or look(plate, now)), rounds._look
    for minute, *expected in ((0, 1, 2), (1, 2, 4), (2, 2, 4), (30, 2, 4), (62, 3, 6)):
        assert rounds.round(NOW + minute * MINUTE) == {}
        assert [len(asked), len(looked)] == expected


@pytest.mark.parametrize("what", [LOST, 503])
def test_rows_that_met_an_outage_are_sent_once(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore, what: int
) -> None:
    rounds = rounds_of(bigquery_jobs, folder_store)
    rounds.round(NOW)
    write_manifest(folder_store, manifest("A01", 1))
    # answered wrongly once, and then not at all
    bigquery_jobs.trouble("load image_metrics_live", what, then_down=True)
    with pytest.raises(WarehouseUnavailableError):
        rounds.round(NOW + NEW_S)
    bigquery_jobs.is_down = False
    write_manifest(folder_store, manifest("A02", 1))
    rounds.round(NOW + NEW_S + MINUTE)
    rounds.round(NOW + NEW_S + 2 * MINUTE)
    assert counts(bigquery_jobs.client(), "image_metrics_live", "images_live") == {
        "image_metrics_live": 4,
        "images_live": 4,
    }


def test_rows_expire_and_those_of_plates_still_in_progress_are_sent_again_before(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore
) -> None:
    rounds = rounds_of(bigquery_jobs, folder_store)
    write_manifest(folder_store, manifest("A01", 1))
    rounds.round(NOW)
    made = bigquery_jobs.client().get_table("lab.screens.image_metrics_live")
    assert made.time_partitioning.expiration_ms == 4 * DAY_S * 1000
    assert rounds.round(NOW + DAY_S) == {}
    assert rounds.round(NOW + 2 * DAY_S + MINUTE)["image_metrics_live"] == 2


def test_closed_plates_are_looked_at_once_a_day(bigquery_jobs: BigQueryJobs, folder_store: FolderStore) -> None:
    rounds = rounds_of(bigquery_jobs, folder_store)
    publish(folder_store)
    rounds.round(NOW)
    publish(folder_store, 2, run="run2", published_at="2026-02-03T13:00:00+00:00")
    rounds.round(NOW + MINUTE)
    assert counts(bigquery_jobs.client(), "plate_runs") == {"plate_runs": 2}
    rounds.round(NOW + 3 * DAY_S)
    record(folder_store, 3, status="withdrawn")
    rounds.round(NOW + 3 * DAY_S + MINUTE)
    assert counts(bigquery_jobs.client(), "plate_runs") == {"plate_runs": 2}
    rounds.round(NOW + 4 * DAY_S + MINUTE)
    assert counts(bigquery_jobs.client(), "plate_runs", "images") == {"plate_runs": 3, "images": 0}
    assert rounds_of(bigquery_jobs, folder_store).round(NOW) == {}


def test_new_plates_are_looked_for_every_ten_minutes_and_known_ones_each_minute(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[str] = []
    list_folders = FolderStore.list_folders

    def note(store: FolderStore, prefix: str) -> list[str]:
        listed.append(prefix)
        return list_folders(store, prefix)

    monkeypatch.setattr(FolderStore, "list_folders", note)
    rounds = rounds_of(bigquery_jobs, folder_store)
    write_manifest(folder_store, manifest("A01", 1))
    rounds.round(NOW)
    write_manifest(folder_store, manifest("A01", 1, plate="P2"))
    write_manifest(folder_store, manifest("A02", 1))
    assert rounds.round(NOW + MINUTE)["site_metrics_live"] == 1
    assert listed.count("results/") == listed.count("results/screen/") == 1
    assert listed.count("results/screen/P1/") == 2
    assert rounds.round(NOW + NEW_S) == {"image_metrics_live": 2, "site_metrics_live": 1}
    assert listed.count("results/") == 2


def test_a_site_measured_before_its_publication_and_not_in_it_is_live(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore
) -> None:
    for item in small_screen.manifests():
        write_manifest(folder_store, item)
    publish(folder_store)
    rounds = rounds_of(bigquery_jobs, folder_store)
    rounds.round(NOW)
    early = manifest("A03", 1, inputs="zz", nuclei=9, **measured_at("01:00:00"))
    folder_store.delete(f"{small_screen.results('P1')}sites/A03-1-A031in.json")
    write_manifest(folder_store, early)
    rounds.round(NOW + MINUTE)
    sql = "SELECT is_published, COUNT(*) AS n FROM screens.sites_live GROUP BY is_published ORDER BY n"
    assert rows(bigquery_jobs.client(), sql) == [{"is_published": False, "n": 1}, {"is_published": True, "n": 11}]
    assert_as_on_duckdb(bigquery_jobs, folder_store)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("publications/000001.json", b'{"status": "complete"}'),
        ("publications/000001.json", b'{"status": "complete", "run": "r", "number": 1, "published_at": "soon"}'),
        ("sites/A01-1-x.json", b'{"well": "A01", "images": [{}], "missing": []}'),
        ("sites/A01-1-x.json", b'{"well": "A01", "site": 1}'),
        ("faults/x.json", b'{"name": "x.tif"}'),
        ("faults/x.json", b'{"name": "x.tif", "found_at": "soon"}'),
    ],
)
def test_a_record_that_lacks_something_is_one_sentence_and_stops_no_other_plate(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore, caplog: pytest.LogCaptureFixture, name: str, data: bytes
) -> None:
    place = b'{"experiment": "screen", "plate": "P0", "recipe": "v1-0123abcd", '
    folder_store.write(f"{small_screen.results('P0')}{name}", place + data[1:])
    publish(folder_store)
    write_manifest(folder_store, manifest("A01", 1, plate="P2"))
    said: list[Refused] = []
    warehouse = open_warehouse(bigquery_jobs.client())
    loader = Loader(warehouse, folder_store, said=lambda outcome: said.append(outcome))
    rounds = Rounds(loader, LiveLoader(warehouse, folder_store))
    for number in range(2):
        rounds.round(NOW + number * MINUTE)
    assert caplog.text.count("screen/P0: ") == 1
    assert [item.reason.count("the publication record") for item in said if isinstance(item, Refused)] == (
        [1] if name.startswith("publications") else []
    )
    assert counts(bigquery_jobs.client(), "plate_runs", "sites_live") == {"plate_runs": 1, "sites_live": 1}


def test_what_is_wrong_with_one_plate_is_said_once_and_stops_no_other(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore, caplog: pytest.LogCaptureFixture
) -> None:
    folder_store.write(f"{small_screen.results('P0')}publications/000001.json", b"[]")
    publish(folder_store)
    rounds = rounds_of(bigquery_jobs, folder_store)
    rounds.round(NOW)
    rounds.round(NOW + MINUTE)
    assert caplog.text.count("screen/P0: ") == 1
    assert counts(bigquery_jobs.client(), "plate_runs") == {"plate_runs": 1}


@pytest.mark.parametrize("table", ["plate_runs_all", "wells_all", "images_all", "image_metrics_live"])
def test_what_is_dropped_while_it_runs_is_made_again_in_the_next_round(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore, table: str
) -> None:
    rounds = rounds_of(bigquery_jobs, folder_store)
    rounds.round(NOW)
    bigquery_jobs.client().delete_table(f"lab.screens.{table}")
    publish(folder_store)
    write_manifest(folder_store, manifest("A01", 1, plate="P2"))
    try:
        rounds.round(NOW + NEW_S)
    except WarehouseUnavailableError:
        rounds.round(NOW + NEW_S + MINUTE)
    assert counts(bigquery_jobs.client(), "plates", "wells", "images") == {"plates": 1, "wells": 6, "images": 24}
