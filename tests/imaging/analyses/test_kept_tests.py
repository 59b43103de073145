"""P-values are kept from one analysis to the next, and an analysis with them is the one without them."""

from __future__ import annotations

import pytest

from imaging.analyses import exchange
from imaging.analyses.kept_tests import key_of_tests
from imaging.analyses.reconcile import reconcile
from imaging.query import run_query
from imaging.store import FolderStore
from tests.imaging import small_analyses
from tests.imaging.small_analyses import EXPERIMENT, publish_rows, rows_of

RECIPE = b"hits: {criteria: [activity, replication, distance], permutations: 300}\nfailures: {rules: none}\n"


def publish(store: FolderStore, plate: str) -> None:
    """Publish a plate whose treatments are on no other."""
    rows = rows_of(plate)
    for row in rows["wells"]:
        if row["control"] == "trt":
            row["treatment"] = f"{plate} {row['treatment']}"
    publish_rows(store, plate, 1, f"run of {plate}", rows, small_analyses.FEATURES)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Pools that p-values were drawn for."""
    found: list[object] = []
    whole = exchange.exchange

    def count(pool: exchange.Pool, *values: object, **how: object) -> float:
        found.append(pool)
        return whole(pool, *values, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(exchange, "exchange", count)
    return found


def hits(store: FolderStore) -> list[dict[str, object]]:
    columns = "treatment, activity_p, replication_p, distance_p, is_hit"
    return run_query(store, f"SELECT {columns} FROM hits ORDER BY treatment").to_pylist()


def test_one_more_plate_costs_the_tests_of_its_own_treatments(folder_store: FolderStore, drawn: list[object]) -> None:
    small_analyses.declare(folder_store, RECIPE)
    for number in range(1, 4):
        publish(folder_store, f"P{number}")
    reconcile(folder_store, EXPERIMENT)
    drawn.clear()
    publish(folder_store, "P4")
    (outcome,) = reconcile(folder_store, EXPERIMENT)
    of_one_more, kept = len(drawn), hits(folder_store)
    folder_store.delete(key_of_tests(EXPERIMENT, outcome.record.recipe))
    for item in folder_store.list(f"results/{EXPERIMENT}/_analyses/{outcome.record.recipe}/").objects:
        folder_store.delete(item.key)
    drawn.clear()
    reconcile(folder_store, EXPERIMENT)
    assert hits(folder_store) == kept
    assert of_one_more < len(drawn) / 2, "a quarter of the treatments is new, and some are drawn for longer"


@pytest.mark.parametrize("damage", [b"", b"no file", b"00000000\n{}", b"\xff\n\xff"])
def test_a_damaged_file_is_as_good_as_none(folder_store: FolderStore, drawn: list[object], damage: bytes) -> None:
    small_analyses.declare(folder_store, RECIPE)
    publish(folder_store, "P1")
    (outcome,) = reconcile(folder_store, EXPERIMENT)
    before, key = hits(folder_store), key_of_tests(EXPERIMENT, outcome.record.recipe)
    whole = folder_store.read(key)
    for content in (damage, whole.replace(b": 0.", b": 1.", 1)):
        folder_store.write(key, content)
        for item in folder_store.list(f"results/{EXPERIMENT}/_analyses/{outcome.record.recipe}/").objects:
            folder_store.delete(item.key)
        drawn.clear()
        reconcile(folder_store, EXPERIMENT)
        assert drawn
        assert hits(folder_store) == before
        assert folder_store.read(key) == whole
