"""Which publications the tables show, with and without a promoted recipe."""

from __future__ import annotations

from typing import Any

import pytest

from imaging.store import FolderStore, Store
from imaging.warehouse.connection import Warehouse
from imaging.warehouse.live import LiveLoader
from imaging.warehouse.publications import Loader
from imaging.warehouse.rounds import Rounds
from tests.imaging import small_screen, small_warehouse
from tests.imaging.small_screen import RECIPE, ask, promote, publish
from tests.standins.bigquery_jobs import BigQueryJobs

V2, V3, TRIAL = "v2-89abcdef", "v3-00112233", "v1+experimental-11112222"
SHOWN = "SELECT plate, recipe, is_promoted, shown_instead_of FROM shown_runs ORDER BY plate, recipe"
WELLS = "SELECT plate, recipe, COUNT(*) AS n FROM wells GROUP BY plate, recipe ORDER BY plate, recipe"


def shown(store: Store, sql: str = SHOWN) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in ask(store, sql)]


def publish_two_plates(store: Store) -> None:
    """P1 under two recipes and an experimental one, P2 under the first alone."""
    publish(store, plate="P1")
    publish(store, plate="P2", run="p2")
    publish(store, plate="P1", recipe=V2, run="v2")
    publish(store, plate="P1", recipe=TRIAL, run="trial")


def test_without_a_promotion_each_declared_recipe_is_shown_and_no_experimental_one(folder_store: Store) -> None:
    publish_two_plates(folder_store)
    assert shown(folder_store) == [("P1", RECIPE, None, None), ("P1", V2, None, None), ("P2", RECIPE, None, None)]
    assert shown(folder_store, WELLS) == [("P1", RECIPE, 6), ("P1", V2, 6), ("P2", RECIPE, 6)]


def test_a_plate_is_shown_once_and_one_that_lacks_the_promoted_recipe_under_the_former(folder_store: Store) -> None:
    publish_two_plates(folder_store)
    promote(folder_store, V2)
    assert shown(folder_store) == [("P1", V2, True, None), ("P2", RECIPE, False, V2)]
    assert shown(folder_store, WELLS) == [("P1", V2, 6), ("P2", RECIPE, 6)]
    columns = "plate, recipe, is_promoted, shown_instead_of, publication"
    assert shown(folder_store, f"SELECT {columns} FROM plate_overview ORDER BY plate") == [
        ("P1", V2, True, None, 1),
        ("P2", RECIPE, False, V2, 1),
    ]


def test_going_back_shows_the_former_recipe_again(folder_store: Store) -> None:
    publish_two_plates(folder_store)
    promote(folder_store, V2, RECIPE)
    assert shown(folder_store) == [("P1", RECIPE, True, None), ("P2", RECIPE, True, None)]


def test_a_plate_without_the_last_two_promoted_recipes_is_shown_under_the_third_last(folder_store: Store) -> None:
    publish_two_plates(folder_store)
    publish(folder_store, plate="P2", recipe="v9-99999999", run="v9", published_at="2026-02-09T05:00:00.000+00:00")
    promote(folder_store, V2, V3, "v4-44444444")
    assert shown(folder_store) == [("P1", V2, False, "v4-44444444"), ("P2", RECIPE, False, "v4-44444444")]


def test_a_plate_that_only_has_recipes_that_never_counted_is_shown_under_its_newest(folder_store: Store) -> None:
    for number, recipe in enumerate(("v8-88888888", "v9-99999999", "v7-77777777"), start=1):
        at = f"2026-02-0{number}T05:00:00.000+00:00"
        publish(folder_store, plate="P1", recipe=recipe, run=recipe, published_at=at)
    promote(folder_store, V2)
    assert shown(folder_store) == [("P1", "v7-77777777", False, V2)]


def test_a_withdrawn_publication_gives_way_to_the_former_recipe(folder_store: Store) -> None:
    publish_two_plates(folder_store)
    small_screen.record(folder_store, 2, plate="P1", recipe=V2, status="withdrawn")
    promote(folder_store, V2)
    assert shown(folder_store)[0] == ("P1", RECIPE, False, V2)


def test_experimental_rows_are_marked_and_stand_in_the_tables_of_all_rows(folder_store: Store) -> None:
    publish_two_plates(folder_store)
    marked = "SELECT recipe FROM plate_runs WHERE is_experimental"
    assert shown(folder_store, marked) == [(TRIAL,)]
    assert shown(folder_store, f"SELECT COUNT(*) FROM wells_all WHERE recipe = '{TRIAL}'") == [(6,)]


def test_a_promotion_is_loaded_although_a_damaged_one_before_it_was_deleted(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore
) -> None:
    promote(folder_store, V2, V3)
    loader = small_warehouse.prepared(bigquery_jobs.client(), folder_store)
    assert loader.load_promotions("screen") == 2
    folder_store.delete("experiments/screen/promotions/000001.json")
    promote(folder_store, V2, V3, RECIPE)
    folder_store.delete("experiments/screen/promotions/000001.json")
    assert loader.load_promotions("screen") == 1


def test_a_look_at_promotions_that_are_loaded_reads_none(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(folder_store, V2)
    loader = small_warehouse.prepared(bigquery_jobs.client(), folder_store)
    loader.load_promotions("screen")
    monkeypatch.setattr(folder_store, "read", None)
    assert loader.load_promotions("screen") == 0


def test_promotions_are_loaded_once_and_the_warehouse_shows_what_duckdb_shows(
    bigquery_jobs: BigQueryJobs, folder_store: Store
) -> None:
    publish_two_plates(folder_store)
    promote(folder_store, V2)
    warehouse: Warehouse = small_warehouse.open_warehouse(bigquery_jobs.client())
    rounds = Rounds(Loader(warehouse, folder_store), LiveLoader(warehouse, folder_store))
    rounds.round()
    rounds.round()
    Rounds(Loader(warehouse, folder_store), LiveLoader(warehouse, folder_store)).round()
    assert warehouse.ask("SELECT COUNT(*) AS n FROM screens.promotions_all") == [{"n": 1}]
    promote(folder_store, V2, RECIPE)
    rounds.round()
    for sql in (SHOWN, WELLS, "SELECT * FROM promotions ORDER BY number", "SELECT * FROM plate_runs ORDER BY 2, 3, 5"):
        name = sql.split("FROM ")[1].split()[0]
        assert warehouse.ask(sql.replace(f"FROM {name}", f"FROM screens.{name}")) == ask(folder_store, sql)
