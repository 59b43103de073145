"""The page of a plate from its published tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from imaging import tables
from imaging.costs import Spending
from imaging.page import (
    PageChannel,
    PageCount,
    PageData,
    PageDecision,
    PageFact,
    PageFault,
    PageImage,
    PageLink,
    PageMetric,
    PageSite,
    PageStatistic,
    write_page,
)
from imaging.page_tables import MOST_METRICS, describe_costs, page_from_tables
from imaging.store import Store, open_store
from imaging.table_schema import table_of
from tests.imaging.small_page import PLACE, draw_one_well, read_data

IMAGE_NUMBERS: dict[str, Any] = {column.name: 0.5 for column in tables.IMAGE_METRICS}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path))


def image_row(well: str, site: int, **changes: Any) -> dict[str, Any]:
    arrived = {"well": well, "site": site, "channel": "DNA", "state": "arrived", "name": f"{well}-{site}.tif"}
    return arrived | {"verdict": "pass", "reasons": []} | IMAGE_NUMBERS | changes


def feature_row(name: str, family: str, objects: str, **changes: Any) -> dict[str, Any]:
    return {"feature": name, "family": family, "objects": objects, "unit": "", "definition": "", **changes}


def published(n_features: int = 2, **changes: list[dict[str, Any]]) -> dict[str, pa.Table]:
    """Tables of a plate with two wells: B02 measured at two sites, A10 failed."""
    names = ["Nuclei_AreaShape_Area", *(f"Cells_Intensity_MeanIntensity_X{i}" for i in range(1, n_features))]
    numbers = {name: 10.0 + i for i, name in enumerate(names)}
    rows: dict[str, list[dict[str, Any]]] = {
        "images": [
            image_row("B02", 1, FocusScore=1.0, verdict="warn", reasons=["dim"]),
            image_row("B02", 2, FocusScore=4.0, MeanIntensity=None),
            image_row("A10", 1, name=None, state="missing", **dict.fromkeys(IMAGE_NUMBERS)),
        ],
        "sites": [
            {"well": "B02", "site": 2, "state": "done", "nuclei_count": 4, "cells_count": 3, "verdict": "pass"},
            {
                "well": "B02",
                "site": 1,
                "state": "done",
                "verdict": "warn",
                "reasons": ["dim"],
                "channels_missing": ["ER"],
            },
            {"well": "A10", "site": 1, "state": "failed", "verdict": "fail", "reasons": ["gave up"]},
        ],
        "wells": [
            {
                "well": "B02",
                "treatment": "wortmannin",
                "concentration": 0.3,
                "concentration_unit": "µM",
                "control": "trt",
                "cells_count": 3,
                "nuclei_count": 4,
                "verdict": "warn",
                "reasons": ["dim"],
                **numbers,
            },
            {"well": "A10", "control": "negcon", "verdict": "fail", "reasons": []},
        ],
        "plates": [
            {
                "status": "with-missing",
                "images_expected": 3,
                "images_arrived": 2,
                "images_faulted": 0,
                "images_missing": 1,
                "sites_expected": 3,
                "sites_done": 2,
                "sites_failed": 1,
                "cells_count": 3,
                "verdict": "warn",
                "reasons": ["one well failed"],
                "not_judged": ["too few wells"],
            }
        ],
        "statistics": [{"feature": "Nuclei_AreaShape_Area", "z_prime": 0.5, "n_negcon": 2, "n_poscon": 3}],
        "features": [
            feature_row(names[0], "AreaShape", "Nuclei", unit="px", definition="size of the nucleus"),
            *(feature_row(name, "Intensity", "Cells", channel=name[-2:]) for name in names[1:]),
        ],
        "faults": [{"kind": "unreadable", "name": "x.tif", "well": "B02", "site": 1, "channel": "ER", "reason": "cut"}],
        "decisions": [{"kind": "missing", "well": "A10", "site": 1, "reason": "late", "decided_by": "patience"}],
    }
    return {
        name: table_of(tables.TABLES[name], [PLACE | row for row in changes.get(name, found)], names)
        for name, found in rows.items()
    }


def page_of(found: dict[str, pa.Table]) -> PageData:
    return page_from_tables(found, shape=(8, 12), channels=[("DNA", "#0000ff")], links=[("data", "gs://x")])


def test_the_head_of_the_page_is_the_row_of_the_plate() -> None:
    shown = page_of(published())
    assert (shown.experiment, shown.plate, shown.recipe, shown.run) == ("screen", "P1", "cp-1", "abc")
    assert (shown.status, shown.verdict, shown.reasons) == ("with-missing", "warn", ("one well failed",))
    assert shown.not_judged == ("too few wells",)
    assert (shown.rows, shown.columns, shown.channels) == (8, 12, (PageChannel("DNA", "#0000ff"),))
    assert shown.links == (PageLink("data", "gs://x"),)
    assert shown.counts == (
        PageCount("Wells", 2),
        PageCount("Sites", 2, 3),
        PageCount("Images", 2, 3),
        PageCount("Missing", 1),
        PageCount("Failed sites", 1),
        PageCount("Cells", 3),
    )


def test_wells_stand_in_plate_order_with_their_values_and_sites() -> None:
    a10, b02 = page_of(published()).wells
    assert (a10.well, a10.control, a10.state, a10.verdict) == ("A10", "negcon", "failed", "fail")
    assert (b02.treatment, b02.concentration, b02.unit, b02.control) == ("wortmannin", 0.3, "µM", "trt")
    assert (b02.state, b02.verdict, b02.reasons) == ("done", "warn", ("dim",))
    assert b02.values["cells_count"] == 3
    assert b02.values["Nuclei_AreaShape_Area"] == 10
    assert [site.site for site in b02.sites] == [1, 2]
    assert b02.sites[0] == PageSite(
        1,
        "done",
        "warn",
        ("dim",),
        ("ER",),
        {},
        (PageImage("DNA", "B02-1.tif", IMAGE_NUMBERS | {"FocusScore": 1.0}, "warn", ("dim",)),),
    )
    assert b02.sites[1].counts == {"Nuclei": 4, "Cells": 3}
    assert a10.sites == (PageSite(1, "failed", "fail", ("gave up",)),)


def test_a_plate_published_before_there_was_not_judged_has_a_page() -> None:
    found = published()
    assert page_of(found | {"plates": found["plates"].drop(["not_judged"])}).not_judged == ()


def test_a_well_without_any_finished_or_failed_site_is_missing() -> None:
    [well] = page_of(published(sites=[], wells=[{"well": "A10"}])).wells
    assert well.state == "missing"


def test_an_image_metric_of_a_well_is_the_median_of_its_images() -> None:
    a10, b02 = page_of(published()).wells
    assert b02.values["ImageQuality_FocusScore_DNA"] == 2.5
    assert b02.values["ImageQuality_MeanIntensity_DNA"] == 0.5
    assert "ImageQuality_FocusScore_DNA" not in a10.values


def test_features_of_the_statistics_come_first_then_counts_image_quality_and_features() -> None:
    metrics = page_of(published()).metrics
    names = [metric.name for metric in metrics]
    assert names[:4] == ["Nuclei_AreaShape_Area", "cells_count", "nuclei_count", "ImageQuality_FocusScore_DNA"]
    assert names[-1] == "Cells_Intensity_MeanIntensity_X1"
    assert len(names) == len(set(names))
    assert not [name for name in names if "TotalArea" in name]
    area = PageMetric("Nuclei_AreaShape_Area", "Nuclei Area", "px", "size of the nucleus", "Assay")
    assert (metrics[0], metrics[-1].label, metrics[-1].group) == (area, "Cells MeanIntensity X1", "Cells Intensity")


def test_a_count_that_the_statistics_name_is_not_shown_twice() -> None:
    metrics = page_of(published(statistics=[{"feature": "cells_count"}, {"feature": "not there"}])).metrics
    assert [(metric.name, metric.group) for metric in metrics[:2]] == [
        ("cells_count", "Assay"),
        ("nuclei_count", "Counts"),
    ]


def test_an_image_metric_says_that_its_median_is_shown() -> None:
    [mean] = [item for item in page_of(published()).metrics if item.name == "ImageQuality_MeanIntensity_DNA"]
    assert mean.unit == ""
    assert mean.description.startswith("Mean of the pixels, in units of `Scaling`")
    assert mean.description.endswith("median over the well's images")


def test_the_unit_of_a_ratio_is_not_shown() -> None:
    ratio = feature_row("Nuclei_AreaShape_Area", "AreaShape", "Nuclei", unit="1")
    assert page_of(published(features=[ratio])).metrics[0].unit == ""


def test_metrics_beyond_the_limit_are_left_to_sql_and_the_page_says_so() -> None:
    shown = page_of(published(n_features=400))
    assert len(shown.metrics) == MOST_METRICS
    n_image_metrics = len(IMAGE_NUMBERS) - 2  # two are the same for all wells, or follow from others
    left_out = 3 + n_image_metrics + 399 - MOST_METRICS
    assert f"{MOST_METRICS} of {MOST_METRICS + left_out} metrics. The other {left_out}" in shown.note
    assert "The other" not in page_of(published()).note


def test_a_limited_page_shows_features_of_every_group() -> None:
    found = published(n_features=400, statistics=[])
    assert "Nuclei AreaShape" in {metric.group for metric in page_of(found).metrics}
    late = found | {"features": found["features"].take(list(range(399, -1, -1)))}
    assert "Nuclei AreaShape" in {metric.group for metric in page_of(late).metrics}


def test_a_limited_page_shows_what_a_biologist_can_name_and_leaves_out_bookkeeping_first() -> None:
    found = published(n_features=400, statistics=[])
    names = found["wells"].column_names
    swap = dict(
        zip(names[-3:], ("Cells_AreaShape_FormFactor", "Cells_Texture_X", "Cells_Location_Center_Z"), strict=True)
    )
    families = {"Cells_AreaShape_FormFactor": "AreaShape", "Cells_Texture_X": "Texture"}
    found["wells"] = found["wells"].rename_columns([swap.get(name, name) for name in names])
    rows = found["features"].to_pylist()
    for row in rows:
        row["feature"] = swap.get(row["feature"], row["feature"])
        row["family"] = families.get(row["feature"], "Location" if row["feature"].endswith("_Z") else row["family"])
    found["features"] = table_of(tables.FEATURES, rows)
    shown = {metric.name for metric in page_of(found).metrics}
    assert {"Cells_AreaShape_FormFactor", "Nuclei_AreaShape_Area"} <= shown
    assert "Cells_Location_Center_Z" not in shown


def test_a_feature_that_wells_do_not_hold_is_not_offered() -> None:
    found = published()
    assert "Cells_Intensity_MeanIntensity_X1" not in {
        metric.name
        for metric in page_of(found | {"wells": found["wells"].drop(["Cells_Intensity_MeanIntensity_X1"])}).metrics
    }


def test_statistics_faults_and_decisions_are_those_of_the_tables() -> None:
    shown = page_of(published())
    assert shown.statistics == (PageStatistic("Nuclei_AreaShape_Area", 0.5, None, None, 2, 3, None),)
    assert shown.faults == (PageFault("x.tif", "unreadable", "cut", "B02", 1, "ER"),)
    assert shown.decisions == (PageDecision("missing", "late", "patience", "A10", 1, None),)


def test_a_published_plate_becomes_a_page(store: Store) -> None:
    pictures = draw_one_well(["DNA"])
    shown = page_from_tables(published(), shape=(8, 12), channels=[("DNA", "#0000ff")], pictures=pictures.layout)
    write_page(store, "p", shown, pictures.files)
    assert read_data(store.read("p/data.js"))["metrics"][0]["values"] == [None, 10]


def runs(*costs: float | None) -> pa.Table:
    rows = [{"machine_seconds": 1800.0, "seconds": 9.0, "cost": cost} for cost in costs]
    return table_of(tables.SITE_RUNS, rows)


def test_the_page_says_what_the_plate_s_sites_cost() -> None:
    page = page_from_tables(published() | {"site_runs": runs(0.6, 0.9)}, shape=(8, 12), channels=[("DNA", "#0000ff")])
    assert page.costs == (PageFact("Machine time", "1 h"), PageFact("Cost", "1.50 USD"))


def test_without_a_price_the_page_says_machine_time_only() -> None:
    page = page_from_tables(published() | {"site_runs": runs(None)}, shape=(8, 12), channels=[("DNA", "#0000ff")])
    assert page.costs == (PageFact("Machine time", "30 min"),)


def test_a_plate_being_imaged_says_what_it_will_cost_in_all() -> None:
    spent = Spending(2, 3600.0, 1.5, 0)
    assert describe_costs(spent, open_sites=2)[1] == PageFact("Cost", "1.50 USD", "of about 3.00 USD")
    assert describe_costs(spent)[1].more == ""
    assert describe_costs(Spending()) == ()
