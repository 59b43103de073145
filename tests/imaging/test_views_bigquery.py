"""The views of imaging/sql are created in BigQuery's dialect and give there what they give on DuckDB."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest
from google.cloud.bigquery import Client, QueryJobConfig

from imaging.acquisitions import decision_key
from imaging.names import to_json
from imaging.query import run_query
from imaging.store import Store, open_store
from imaging.suspicions.suspicion import Suspicion
from imaging.time_points import join_site, split_site
from imaging.views import view_names
from tests.imaging import small_analyses, small_screen
from tests.imaging.bigquery_copy import BASE, WITH_ROWS, copy_store
from tests.standins.bigquery import BigQueryStandIn


@pytest.fixture(scope="module")
def screen() -> Store:
    """Three published plates that differ in every respect a view looks at, one of them twice; and one in progress.

    P5 has all that can double or lose rows: two acquisitions, each with two recipes and two time points.
    """
    store = open_store("memory://views-on-bigquery")
    for number, plate in ((1, "P2"), (2, "P1"), (3, "P3")):
        published_at = f"2026-02-0{number}T05:00:00+00:00"
        small_screen.publish(store, plate=plate, run=f"run {plate}", published_at=published_at, **_contents(plate))
    small_screen.record(store, 2, plate="P3", run="run P3", status="withdrawn", published_at="2026-02-09T05:00:00Z")
    small_screen.publish(store, 2, plate="P2", run="again", published_at="2026-02-10T05:00:00Z", **_contents("P2", 3))
    acquired = [{"plate": plate, "status": "complete", "first_image_at": 1.5e9} for plate in ("P1", "P2")]
    decision = {"experiment": "screen", "barcode": "P1", "number": 1, "plate": "P1", "reason": "P2 dried out"}
    decision |= {"decided_by": "Ada", "decided_at": "2026-02-11T05:00:00+00:00", "rule": None, "by_hand": None}
    for barcode, number in (("P1", 1), ("P1", 2), ("P2", 1)):
        given = decision | {"barcode": barcode, "number": number, "acquisitions": acquired}
        store.create(decision_key("screen", barcode, number), to_json(given))
    small_screen.publish(store, plate="P1", recipe="v2-89abcdef", run="v2", **_contents("P1", 5))
    small_screen.publish(store, plate="P1", recipe="v1+experimental-11112222", run="trial", **_contents("P1", 4))
    small_screen.promote(store, "v2-89abcdef")
    for acquisition in ("P5_a", "P5_b"):
        for recipe in (small_screen.RECIPE, "v2-89abcdef"):
            contents = _contents(acquisition, 2) | {"manifests": _series(acquisition)}
            given = {"recipe": recipe, "run": f"{acquisition} {recipe}", "barcode": "P5", "first_image_at": 1.6e9}
            small_screen.publish(store, plate=acquisition, **given, **contents)
    acquired = [{"plate": plate, "status": "complete", "first_image_at": 1.6e9} for plate in ("P5_a", "P5_b")]
    given = decision | {"barcode": "P5", "plate": "P5_b", "acquisitions": acquired}
    store.create(decision_key("screen", "P5", 1), to_json(given))
    small_analyses.record_analysis(store, 1, hits=("x", "y"))
    small_analyses.record_analysis(store, 2, hits=("x",))
    small_analyses.record_analysis(store, 1, recipe="other-89abcdef", hits=("z",))
    for site in (1, 2):
        saturated = small_screen.manifest("A01", site, plate="P4")
        saturated["image_metrics"][0]["PercentSaturated"] = 2.5 * site
        small_screen.write_manifest(store, saturated)
    fault = {"experiment": "screen", "plate": "P4", "recipe": small_screen.RECIPE, "name": "x.tif", "well": "A01"}
    fault |= {"token": "t", "size_bytes": 1, "reason": "cut", "found_at": "2026-02-03T05:00:00+00:00"}
    store.create(f"{small_screen.results('P4')}faults/1.json", to_json(fault))
    return store


def _contents(plate: str, seed: int = 1) -> dict[str, Any]:
    """Manifests whose every number differs, a failed site, a fault, a decision, a price for some sites."""
    manifests = []
    for count, (well, site) in enumerate(itertools.product(small_screen.WELLS, (1, 2)), start=seed):
        lacks = ["RNA"] if (well, site) == ("A01", 2) else []
        item = small_screen.manifest(well, site, plate=plate, nuclei=1 + (7 * count) % 5, missing=lacks)
        for metrics in item["image_metrics"]:
            metrics |= {"FocusScore": 0.01 + math.sin(count) ** 2, "PercentSaturated": count / 4, "MADIntensity": None}
        item["provenance"] |= {
            "machine_seconds": 0.5 * count,
            "cost": None if plate == "P2" or site == 2 else 0.1 / count,
        }
        manifests.append(item)
    place = {"well": "A01", "site": 2, "channel": "RNA"}
    return {
        "manifests": tuple(manifests[:-1]),
        "failed": ({"well": "B03", "site": 2, "reason": "out of memory"},),
        "faults": ({"kind": "unreadable", "name": "x.tif", "reason": "cut", **place},),
        "decisions": ({"kind": "missing", "by": "Ada", "reason": "lost", **place},),
        "suspicions": (Suspicion("moved plate", "shifted down by a row", f"as {plate} lies", 0.5, 0.12),),
    }


def _series(plate: str) -> tuple[dict[str, Any], ...]:
    """Manifests of two time points; B03 has the first alone, and B02 the second."""
    found = itertools.product(small_screen.WELLS, (1, 2, join_site(1, 2), join_site(2, 2)))
    kept = [(well, site) for well, site in found if (well, site > 2) not in (("B03", True), ("B02", False))]
    manifests = []
    for count, (well, site) in enumerate(kept, start=1):
        item = small_screen.manifest(well, split_site(site)[0], plate=plate, nuclei=1 + count % 4)
        item |= {"site": site, "inputs": f"{well}{site}in"}
        for metrics in item["image_metrics"]:
            metrics |= {"FocusScore": 0.02 * count, "PercentSaturated": count / 5}
        manifests.append(item)
    return tuple(manifests)


@pytest.fixture(scope="module")
def client(bigquery: BigQueryStandIn, screen: Store) -> Iterator[Client]:
    """A client whose default dataset holds the screen."""
    with closing(bigquery.client()) as client:
        dataset = client.create_dataset("views")
        copy_store(screen, client, dataset)
        client.default_query_job_config = QueryJobConfig(default_dataset=dataset.reference)
        yield client
        client.delete_dataset(dataset, delete_contents=True)


def in_order(rows: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return sorted((dict(row) for row in rows), key=lambda row: str([_rounded(value) for value in row.values()]))


def _rounded(value: Any) -> Any:
    return f"{value:.9g}" if isinstance(value, float) else value


def on_both(screen: Store, client: Client, sql: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return in_order(run_query(screen, sql).to_pylist()), in_order(list(client.query(sql).result()))


def assert_equal(here: list[dict[str, Any]], there: list[dict[str, Any]]) -> None:
    """Equal but for the last digits of sums, which each engine adds up in an order of its own."""
    assert len(here) == len(there)
    for ours, theirs in zip(here, there, strict=True):
        assert list(ours) == list(theirs)
        assert theirs == {
            name: pytest.approx(value, rel=1e-12, abs=1e-15) if isinstance(value, float) else value
            for name, value in ours.items()
        }


@pytest.mark.parametrize("name", [*BASE, *(table.name for table in WITH_ROWS), *view_names()])
def test_tables_and_views_are_the_same_on_bigquery_and_duckdb(screen: Store, client: Client, name: str) -> None:
    here, there = on_both(screen, client, f"SELECT * FROM {name}")
    assert here
    assert_equal(here, there)


KEYS = {
    "acquisitions": "plate, recipe",
    "compare_recipes": "plate, time_point, feature, recipe, against",
    "control_performance": "plate, recipe, time_point, feature",
    "dose_response": "plate, recipe, time_point, treatment, concentration, control",
    "metric_drift": "plate, recipe, time_point, channel, metric",
    "plate_overview": "plate, recipe",
    "position_effects": "plate, recipe, time_point, channel, metric, axis, position",
    "reconciliation": "plate, recipe, level, well, site, time_point",
    "shown_runs": "plate, recipe",
    "well_heatmap": "plate, recipe, time_point, well, channel, metric",
    "images": "plate, recipe, time_point, well, site, channel",
    "sites": "plate, recipe, time_point, well, site",
    "wells": "plate, recipe, time_point, well",
}
"""Columns that tell the rows of a view apart; the experiment is one."""


@pytest.mark.parametrize("name", KEYS)
def test_acquisitions_recipes_and_time_points_double_no_row_and_lose_none(
    screen: Store, client: Client, name: str
) -> None:
    counted = f"SELECT {KEYS[name]}, COUNT(*) AS n FROM {name} GROUP BY {KEYS[name]} HAVING COUNT(*) > 1"
    assert on_both(screen, client, counted) == ([], [])
    shown = {"P5_a", "P5_b"} if name in ("acquisitions", "compare_recipes") else {"P5_b"}
    here, _ = on_both(screen, client, f"SELECT DISTINCT plate FROM {name} WHERE plate LIKE 'P5%'")
    assert {row["plate"] for row in here} == shown
    if "time_point" in KEYS[name]:
        seen = f"SELECT DISTINCT time_point FROM {name} WHERE plate = 'P5_b' AND time_point IS NOT NULL"
        assert [row["time_point"] for row in on_both(screen, client, seen)[1]] == [1, 2]


def test_each_well_of_a_series_has_its_rows_at_its_time_points(screen: Store, client: Client) -> None:
    sql = (
        "SELECT well, time_point, sites_done, recipe FROM wells WHERE plate = 'P5_b' AND well IN ('A01', 'B02', 'B03')"
    )
    here, there = on_both(screen, client, sql)
    assert here == there
    done = {(row["well"], row["time_point"]): row["sites_done"] for row in here}
    assert {key: count for key, count in done.items() if count} == {
        ("A01", 1): 2,
        ("A01", 2): 2,
        ("B02", 2): 2,
        ("B03", 1): 2,
    }
    assert {row["recipe"] for row in here} == {"v2-89abcdef"}


@pytest.mark.parametrize("name", view_names())
def test_no_view_gives_nan_or_infinity(screen: Store, name: str) -> None:
    values = [value for row in run_query(screen, f"SELECT * FROM {name}").to_pylist() for value in row.values()]
    assert all(math.isfinite(value) for value in values if isinstance(value, float))
