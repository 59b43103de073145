"""Views for those who look after an assay, against numbers worked out by hand: controls, positions, doses, costs."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.parquet as pq
import pytest

from imaging.store import Store
from imaging.table_schema import table_of
from imaging.tables import TABLES
from tests.imaging import small_screen
from tests.imaging.small_screen import RECIPE, ask, values

Rows = Sequence[Mapping[str, Any]]


def publish_rows(store: Store, plate: str, *, published_at: str = "2026-02-03T05:00:00Z", **tables: Rows) -> None:
    """Publish a plate that has these rows of these tables and nothing else."""
    place = {"experiment": "screen", "plate": plate, "recipe": RECIPE, "run": plate}
    keys = {}
    for name, rows in tables.items():
        file = io.BytesIO()
        pq.write_table(table_of(TABLES[name], [{**place, **row} for row in rows]), file)
        keys[name] = f"{small_screen.results(plate)}published/{name}.parquet"
        store.create(keys[name], file.getvalue())
    small_screen.record(store, 1, plate=plate, run=plate, tables=keys, published_at=published_at)


def counted_wells(nuclei: Mapping[str, int], **controls: str) -> dict[str, Rows]:
    """Rows of wells and of their one site, by the wells' numbers of nuclei."""
    wells = [
        {"well": well, "row": row, "column": column, "control": controls.get(well)}
        for well in nuclei
        for row, column in [(well.rstrip("0123456789"), int(well.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")))]
    ]
    sites = [{"well": well, "site": 1, "state": "done", "nuclei_count": count} for well, count in nuclei.items()]
    return {"wells": wells, "sites": sites}


# --- positions --------------------------------------------------------------------------------------------------------


def test_medians_of_rows_columns_and_edge_are_compared_with_the_plates(folder_store: Store) -> None:
    # 10 x row + column, and 4 less at the edge: of the plate median 26, median distance to it 10
    nuclei = {
        f"{letter}{column:02d}": 10 * row + column - (4 if row in (1, 4) or column in (1, 6) else 0)
        for row, letter in enumerate("ABCD", start=1)
        for column in range(1, 7)
    }
    publish_rows(folder_store, "P1", **counted_wells(nuclei))
    rows = {row["position"]: row for row in ask(folder_store, "SELECT * FROM position_effects")}
    assert len(rows) == 2 + 4 + 6
    assert {(row["channel"], row["metric"], row["plate_median"]) for row in rows.values()} == {
        (None, "nuclei_count", 26.0)
    }
    assert [row["plate_robust_sd"] for row in rows.values()] == [pytest.approx(14.826)] * len(rows)
    shown = ("axis", "n_wells", "median", "difference")
    assert tuple(rows["edge"][name] for name in shown) == ("edge", 16, 24.5, -1.5)
    assert tuple(rows["interior"][name] for name in shown) == ("edge", 8, 28.5, 2.5)
    assert tuple(rows["A"][name] for name in shown) == ("row", 6, 9.5, -16.5)
    assert tuple(rows["1"][name] for name in shown) == ("column", 4, 22.0, -4.0)
    assert rows["A"]["effect"] == pytest.approx(-16.5 / 14.826)


@pytest.mark.parametrize(
    ("wells", "edge"),
    [
        (["A01", "A02", "B02", "C03", "D06"], ["A01", "A02", "D06"]),  # 24 wells
        (["A01", "D06", "D12", "B07", "A09"], ["A01", "A09", "D12"]),  # half of 96: row D is not at the rim
        (["B02", "B12", "O23", "H12", "O05"], ["B02", "B12", "O05", "O23"]),  # 384 without its outermost ring
        (["AF48", "P24", "AA10", "A17", "AF20"], ["A17", "AF20", "AF48"]),  # 1,536
        (["A02", "B03", "C04", "B02"], ["A02", "C04"]),  # 12
    ],
)
def test_edge_wells_are_the_outermost_ring_that_was_imaged(
    folder_store: Store, wells: list[str], edge: list[str]
) -> None:
    publish_rows(folder_store, "P1", **counted_wells({well: 1 + (well in edge) for well in wells}))
    sql = "SELECT position, n_wells, median FROM position_effects WHERE axis = 'edge' ORDER BY position"
    assert [tuple(row.values()) for row in ask(folder_store, sql)] == [
        ("edge", len(edge), 2.0),
        ("interior", len(wells) - len(edge), 1.0),
    ]


def test_positive_controls_and_empty_wells_have_no_part_in_positions(folder_store: Store) -> None:
    nuclei = {"A01": 10, "A02": 20, "A03": 500, "B01": 30, "B02": 0, "B03": 40}
    publish_rows(folder_store, "P1", **counted_wells(nuclei, A01="negcon", A03="poscon", B01="trt", B02="empty"))
    sql = "SELECT position, n_wells, median FROM position_effects WHERE axis = 'row' ORDER BY position"
    assert [tuple(row.values()) for row in ask(folder_store, sql)] == [("A", 2, 15.0), ("B", 2, 35.0)]


def test_a_plate_whose_wells_are_all_alike_has_differences_and_no_effects(folder_store: Store) -> None:
    publish_rows(folder_store, "P1", **counted_wells({"A01": 5, "A02": 5, "B01": 5, "B02": 5, "B03": 9}))
    sql = "SELECT position, difference, effect FROM position_effects WHERE axis = 'column' ORDER BY position"
    assert [tuple(row.values()) for row in ask(folder_store, sql)] == [("1", 0, None), ("2", 0, None), ("3", 4, None)]


def test_positions_of_plates_are_apart(folder_store: Store) -> None:
    for plate, nuclei in (("P1", 5), ("P2", 50)):
        publish_rows(folder_store, plate, **counted_wells({"A01": nuclei, "A02": nuclei + 2}))
    sql = "SELECT plate, plate_median FROM position_effects WHERE axis = 'row' ORDER BY plate"
    assert ask(folder_store, sql) == [{"plate": "P1", "plate_median": 6.0}, {"plate": "P2", "plate_median": 51.0}]


# --- heat map ---------------------------------------------------------------------------------------------------------


def test_counts_of_the_heat_map_are_per_measured_site(folder_store: Store) -> None:
    tables = counted_wells({"A01": 6, "A02": 6})
    sites = [*tables["sites"], {"well": "A01", "site": 2, "state": "done", "nuclei_count": 8}]
    lost = [{"well": "A02", "site": 2, "state": "failed", "nuclei_count": None}]
    publish_rows(folder_store, "P1", wells=tables["wells"], sites=[*sites, *lost])
    assert ask(folder_store, "SELECT well, value, channel FROM well_heatmap ORDER BY well") == [
        {"well": "A01", "value": 7.0, "channel": None},
        {"well": "A02", "value": 6.0, "channel": None},
    ]


def test_the_heat_map_has_every_image_metric_but_the_constants_of_the_camera() -> None:
    from imaging.tables import IMAGE_METRICS
    from imaging.views import read_view

    text = read_view("well_heatmap").sql("bigquery")
    shown = {column.name for column in IMAGE_METRICS if f"{column.name}," in text or f"{column.name})" in text}
    assert {column.name for column in IMAGE_METRICS} - shown == {"Scaling", "TotalArea"}


# --- controls ---------------------------------------------------------------------------------------------------------


def test_controls_are_followed_over_plates_in_the_order_of_their_first_publication(folder_store: Store) -> None:
    same = {"feature": "ratio", "robust_z_prime": 0.4, "n_negcon": 8, "n_poscon": 4, "reason": None}
    first = {"z_prime": 0.5, "ssmd": 7.0, "negcon_mean": -2.0, "negcon_sd": 0.5, "poscon_mean": 4.0, "poscon_sd": 0.2}
    second = {"z_prime": 0.75, "ssmd": 9.0, "negcon_mean": 0.0, "negcon_sd": 0.5, "poscon_mean": 4.0}
    publish_rows(folder_store, "P2", published_at="2026-02-01T05:00:00Z", statistics=[same | first])
    publish_rows(folder_store, "P1", published_at="2026-02-02T05:00:00Z", statistics=[same | second])
    rows = ask(folder_store, "SELECT * EXCEPT (experiment, recipe) FROM control_performance ORDER BY plate_number")
    assert [row.pop("first_published_at").isoformat()[:10] for row in rows] == ["2026-02-01", "2026-02-02"]
    assert [tuple(row.values()) for row in rows] == [
        ("P2", 1, 1, "ratio", 0.5, 0.4, 7.0, None, 8, -2.0, 25.0, 4, 4.0, 5.0, None),
        ("P1", 1, 2, "ratio", 0.75, 0.4, 9.0, 0.25, 8, 0.0, None, 4, 4.0, None, None),
    ]


# --- doses ------------------------------------------------------------------------------------------------------------


def test_a_well_that_lacks_a_site_does_not_look_toxic(folder_store: Store) -> None:
    wells = [
        {"well": "A01", "control": "negcon", "treatment": "DMSO", "sites_done": 2, "nuclei_count": 90},
        {"well": "A02", "control": "negcon", "treatment": "DMSO", "sites_done": 2, "nuclei_count": 110},
        {"well": "A03", "treatment": "x", "concentration": 1.0, "sites_done": 1, "nuclei_count": 50},
        {"well": "A04", "treatment": "x", "concentration": 2.0, "sites_done": 2, "nuclei_count": 25},
        {"well": "A05", "treatment": "x", "concentration": 4.0, "sites_done": 0, "verdict": "fail"},
        {"well": "A06"},
    ]
    publish_rows(folder_store, "P1", wells=wells)
    sql = (
        "SELECT treatment, concentration, n_wells, n_wells_failed, nuclei_per_site_mean, nuclei_per_site_sd, "
        "nuclei_percent_of_negcon FROM dose_response ORDER BY treatment, concentration"
    )
    assert [tuple(row.values()) for row in ask(folder_store, sql)] == [
        ("DMSO", None, 2, 0, 50.0, pytest.approx(50**0.5), 100.0),
        ("x", 1.0, 1, 0, 50.0, None, 100.0),
        ("x", 2.0, 1, 0, 12.5, None, 25.0),
        ("x", 4.0, 1, 1, None, None, None),
    ]


def test_without_negative_controls_there_is_no_percentage(folder_store: Store) -> None:
    publish_rows(folder_store, "P1", wells=[{"well": "A01", "treatment": "x", "sites_done": 1, "nuclei_count": 9}])
    sql = "SELECT nuclei_per_site_mean AS mean, nuclei_percent_of_negcon AS percent FROM dose_response"
    assert ask(folder_store, sql) == [{"mean": 9.0, "percent": None}]


# --- costs ------------------------------------------------------------------------------------------------------------


def test_a_plate_costs_what_its_sites_cost(folder_store: Store) -> None:
    runs = [
        {"well": "A01", "seconds": 12.0, "machine_seconds": 10.0, "cost": 0.125},
        {"well": "A02", "seconds": 7.0, "machine_seconds": None, "cost": None},  # of before there were prices
        {"well": "A03", "seconds": 6.0, "machine_seconds": 3.0, "cost": 0.375},
    ]
    publish_rows(folder_store, "P1", site_runs=runs)
    publish_rows(folder_store, "P2", site_runs=[{"well": "A01", "seconds": 2.0, "machine_seconds": 1.0}])
    columns = "plate, sites, machine_seconds, sites_without_price, cost, cost_per_site, currency"
    assert [tuple(row.values()) for row in ask(folder_store, f"SELECT {columns} FROM plate_costs ORDER BY plate")] == [
        ("P1", 3, 20.0, 1, 0.5, 0.25, "USD"),
        ("P2", 1, 1.0, 1, None, None, "USD"),
    ]


def test_a_site_of_a_withdrawn_plate_costs_nothing_here(folder_store: Store) -> None:
    publish_rows(folder_store, "P1", site_runs=[{"well": "A01", "machine_seconds": 1.0, "cost": 1.0}])
    small_screen.record(folder_store, 2, status="withdrawn", run="P1")
    assert values(folder_store, "SELECT plate FROM plate_costs") == []
