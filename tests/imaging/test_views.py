"""The views of imaging/sql over real Parquet files."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot
from sqlglot import exp

from imaging.views import view_names
from tests.imaging import small_screen
from tests.imaging.small_screen import AREA, RECIPE, ask, publish, values

SQL_FILES = sorted((Path(__file__).parents[2] / "imaging" / "sql").glob("*.sql"))


@pytest.mark.parametrize("path", SQL_FILES, ids=lambda path: path.stem)
def test_views_are_one_bigquery_statement_each(path):
    statements = sqlglot.parse(path.read_text(), read="bigquery")
    assert len(statements) == 1
    assert isinstance(statements[0], exp.Query)
    assert path.read_text().startswith("-- ")


def test_every_sql_file_is_a_view_but_the_pattern_of_current_rows():
    assert {path.stem for path in SQL_FILES} == {*view_names(), "current_rows", "current_analysis_rows"}


def test_plate_overview_says_what_came_and_how_good_it_is(screen):
    (row,) = ask(screen, "SELECT * FROM plate_overview")
    assert (row["plate"], row["status"], row["publication"], row["is_declared"]) == ("P1", "with-missing", 1, True)
    assert (row["images_expected"], row["images_arrived"], row["images_faulted"], row["images_missing"]) == (
        24,
        23,
        1,
        0,
    )
    assert row["images_arrived_percent"] == 95.83
    assert (row["sites_expected"], row["sites_done"], row["sites_failed"], row["sites_missing"]) == (12, 11, 1, 0)
    assert (row["nuclei_count"], row["verdict"], row["z_prime_feature"]) == (33, "fail", AREA)
    assert row["reasons"].split("; ") == [
        "B03 site 2: the site could not be processed: out of memory",
        "the plate: 64 of 64 compared images are those of P0",
        "DNA in A01 site 1: 2.5 % of pixels are saturated (limit 1 %)",
        "RNA in A01 site 2: the image cannot be read",
    ]


def test_well_heatmap_has_a_value_per_well_channel_and_metric(screen):
    where = "WHERE well = 'A01' AND channel = 'DNA' AND metric = 'PercentSaturated'"
    (row,) = ask(screen, f"SELECT row, column, value, plate, recipe FROM well_heatmap {where}")
    assert row == {"row": "A", "column": 1, "value": (2.5 + 0.25) / 2, "plate": "P1", "recipe": RECIPE}
    assert len(ask(screen, "SELECT well FROM well_heatmap WHERE metric = 'nuclei_count'")) == 6
    metrics = values(screen, "SELECT DISTINCT metric FROM well_heatmap ORDER BY metric")
    assert metrics == [
        "FocusScore",
        "MaxIntensity",
        "MedianIntensity",
        "MinIntensity",
        "PercentSaturated",
        "cells_count",
        "nuclei_count",
    ]


def test_well_heatmap_keeps_recipes_and_plates_apart(folder_store):
    publish(folder_store)
    publish(folder_store, plate="P2", run="other")
    assert values(folder_store, "SELECT COUNT(*) FROM well_heatmap WHERE metric = 'FocusScore'") == [2 * 6 * 2]


def test_quality_board_lists_all_that_does_not_pass(screen):
    columns = "level, well, site, channel, verdict, reasons"
    rows = ask(screen, f"SELECT {columns} FROM quality_board WHERE level <> 'plate' ORDER BY 1, 2, 3, 4")
    assert [(row["level"], row["well"], row["site"], row["channel"], row["verdict"]) for row in rows] == [
        ("image", "A01", 1, "DNA", "warn"),
        ("image", "A01", 2, "RNA", "warn"),
        ("site", "A01", 1, None, "warn"),
        ("site", "A01", 2, None, "warn"),
        ("site", "B03", 2, None, "fail"),
        ("well", "A01", None, None, "warn"),
        ("well", "B03", None, None, "fail"),
    ]
    (plate,) = ask(screen, "SELECT well, verdict, reasons FROM quality_board WHERE level = 'plate'")
    assert (plate["well"], plate["verdict"]) == (None, "fail")
    assert plate["reasons"] == values(screen, "SELECT reasons FROM plate_overview")[0]
    assert rows[0]["reasons"] == "DNA in A01 site 1: 2.5 % of pixels are saturated (limit 1 %)"
    assert rows[5]["reasons"].count("; ") == 1


def test_plate_overview_says_what_could_not_be_judged(screen):
    assert values(screen, "SELECT not_judged FROM plate_overview")[0].split("; ") == [
        "PowerLogLogSlope of DNA against the plate's wells: no well has a value, 8 are needed",
        "PowerLogLogSlope of DNA against earlier plates: no earlier plate has a value, 5 are needed",
    ]


def test_metric_drift_follows_a_metric_over_plates_in_the_order_they_were_first_published(folder_store):
    for number, plate in ((1, "P2"), (2, "P1"), (3, "P3")):
        manifests = [small_screen.manifest(well, 1, plate=plate, nuclei=number) for well in small_screen.WELLS]
        published_at = f"2026-02-0{number}T05:00:00+00:00"
        publish(folder_store, plate=plate, run=plate, manifests=tuple(manifests), published_at=published_at)
    again = tuple(small_screen.manifest(well, 1, plate="P2", nuclei=9) for well in small_screen.WELLS)
    publish(folder_store, 2, plate="P2", run="P2 again", manifests=again, published_at="2026-02-09T05:00:00+00:00")
    columns = "plate, median, n_wells, change_from_previous, history_plates, robust_z, plate_verdict"
    where = "WHERE metric = 'nuclei_count' ORDER BY first_published_at"
    rows = ask(folder_store, f"SELECT {columns} FROM metric_drift {where}")
    assert [tuple(row.values())[:6] for row in rows] == [
        ("P2", 9.0, 5, None, 0, None),
        ("P1", 2.0, 5, -7.0, 0, None),
        ("P3", 3.0, 5, 1.0, 0, None),
    ]
    assert {row["plate_verdict"] for row in rows} == {"fail"}
    slopes = "SELECT channel, n_wells FROM metric_drift WHERE metric = 'MedianIntensity' AND plate = 'P1' ORDER BY 1"
    assert ask(folder_store, slopes) == [{"channel": "DNA", "n_wells": 5}, {"channel": "RNA", "n_wells": 5}]


def test_plates_published_before_there_were_plate_metrics_are_still_shown(folder_store):
    keys = publish(folder_store, plate="P1", run="new")
    for name, column in (("images", "not_measured"), ("plates", "not_judged")):
        rows = pq.read_table(folder_store.local_path(keys[name])).drop([column])
        path = folder_store.local_path(f"old/{name}.parquet")
        path.parent.mkdir(exist_ok=True)
        pq.write_table(rows.set_column(1, "plate", pa.array(["P0"] * len(rows))), path)
    old = {name: f"old/{name}.parquet" for name in ("images", "plates")}
    small_screen.record(folder_store, 1, plate="P0", run="new", tables=old)
    shown = ask(folder_store, "SELECT plate, not_judged FROM plate_overview ORDER BY plate")
    assert [(row["plate"], bool(row["not_judged"])) for row in shown] == [("P0", False), ("P1", True)]
    assert values(folder_store, "SELECT DISTINCT plate FROM metric_drift") == ["P1"]
    assert values(folder_store, "SELECT COUNT(*) FROM images WHERE ARRAY_LENGTH(not_measured) > 0") == [0]


def test_dose_response_compares_nuclei_with_the_negative_controls(folder_store):
    few = [small_screen.manifest("A03", site, nuclei=1) for site in (1, 2)]
    more = [item for item in small_screen.manifests() if item["well"] not in ("A03", "B01")]
    publish(folder_store, manifests=(*few, *more))
    rows = {row["treatment"]: row for row in ask(folder_store, "SELECT * FROM dose_response")}
    assert (rows["DMSO"]["n_wells"], rows["DMSO"]["control"], rows["DMSO"]["nuclei_per_site_mean"]) == (
        2,
        "negcon",
        3.0,
    )
    assert (rows["DMSO"]["nuclei_percent_of_negcon"], rows["DMSO"]["nuclei_per_site_sd"]) == (100.0, 0.0)
    treated = rows["compound A03"]
    assert (treated["concentration"], treated["concentration_unit"], treated["control"]) == (1.0, "uM", "trt")
    assert treated["nuclei_percent_of_negcon"] == pytest.approx(100 / 3)
    lost = rows["compound B01"]
    assert (lost["n_wells_failed"], lost["nuclei_per_site_mean"], lost["nuclei_percent_of_negcon"]) == (1, None, None)
    assert treated["n_wells_failed"] == 0


def test_a_warning_about_a_plate_map_is_no_difference_between_expected_and_arrived(folder_store):
    odd = {"kind": "plate map", "name": "map.csv", "reason": "2 imaged wells are not described"}
    unknown = {"kind": "unknown", "name": "notes.txt", "reason": "the name does not fit"}
    nowhere = {"well": None, "site": None, "channel": None}
    publish(folder_store, faults=(odd | nowhere, unknown | nowhere))
    (reasons,) = values(folder_store, "SELECT reasons FROM reconciliation WHERE level = 'plate'")
    assert reasons == "unknown notes.txt: the name does not fit"
    assert len(ask(folder_store, "SELECT * FROM incidents WHERE kind = 'plate map'")) == 1


def test_incidents_list_faults_decisions_and_sites_without_values(screen):
    rows = ask(
        screen, "SELECT source, kind, well, site, channel, name, reason, decided_by FROM incidents ORDER BY source"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("decision", "missing", "A01", 2, "RNA", None, "lost", "Ada"),
        ("fault", "unreadable", "A01", 2, "RNA", "x.tif", "cut", None),
        ("site", "failed", "B03", 2, None, None, "B03 site 2: the site could not be processed: out of memory", None),
    ]
