"""A plate's page: its data are safe and reproducible, and it shows what the published tables say."""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from imaging import tables
from imaging.atlas import PlatePictures, build_pictures
from imaging.page import (
    SCRIPTS,
    PageChannel,
    PageCount,
    PageData,
    PageDecision,
    PageFault,
    PageImage,
    PageLink,
    PageMetric,
    PageSite,
    PageStatistic,
    PageWell,
    encode_data,
    write_page,
)
from imaging.page_tables import MOST_METRICS, page_from_tables
from imaging.store import Store, open_store

PLACE: dict[str, Any] = {"experiment": "screen", "plate": "P1", "recipe": "cp-1", "run": "abc"}
IMAGE_NUMBERS: dict[str, Any] = {column.name: 0.5 for column in tables.IMAGE_METRICS}


def read_data(data: bytes) -> dict[str, Any]:
    return json.loads(data.decode("ascii").removeprefix("window.PLATE = ").removesuffix(";\n"))


def page(**changes: Any) -> PageData:
    return replace(PageData(**PLACE, status="complete", rows=2, columns=3), **changes)


def draw(channels: list[str]) -> PlatePictures:
    picture = np.arange(64, dtype=np.uint16).reshape(8, 8)
    thumbnails = [("A01", 1, dict.fromkeys(channels, picture))]
    return build_pictures(lambda: thumbnails, shape=(2, 3), sites=[1], channels=channels)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path))


def test_no_text_of_a_plate_can_end_the_script() -> None:
    hostile = "</script><!--<img src=x onerror=alert(1)>&\u2028\u2029µ\ud83d"
    data = encode_data(page(wells=(PageWell("A01", treatment=hostile),)))
    assert data.isascii()
    assert not set(b"<>&") & set(data)
    assert read_data(data)["wells"][0]["treatment"] == hostile


def test_numbers_have_six_digits_counts_are_exact_and_nothing_is_nan() -> None:
    values = {"a": 0.123456789, "b": 123_456_789, "c": math.nan, "d": math.inf, "e": None}
    wells = (PageWell("B03", values=values, concentration=0.1 + 0.2),)
    found = read_data(encode_data(page(wells=wells, metrics=tuple(PageMetric(name, name) for name in [*values, "f"]))))
    assert [metric["values"][0] for metric in found["metrics"]] == [0.123457, 123_456_789, None, None, None, None]
    assert found["wells"][0]["concentration"] == 0.3


def test_data_hold_everything_the_page_shows() -> None:
    image = PageImage("ER", "a.tif", {"FocusScore": 0.5, "MeanIntensity": math.nan}, "pass")
    sparse = PageImage("DNA", "b.tif", {"MeanIntensity": 0.25}, "fail")
    site = PageSite(2, "done", "warn", ("dim",), ("RNA",), {"Cells": 7}, (image, sparse))
    found = read_data(
        encode_data(
            page(
                verdict="warn",
                reasons=("two wells failed",),
                counts=(PageCount("Sites", 3, 4),),
                channels=(PageChannel("DNA", "#0000ff"), PageChannel("ER", "#00ff00")),
                wells=(PageWell("AA12", "x", 1.5, "µM", "negcon", "done", "fail", ("empty",), {}, (site,)),),
                statistics=(PageStatistic("cells_count", 1 / 3, math.nan, -2.0, 4, 5, "why"),),
                faults=(PageFault("f.tif", "unreadable", "cut off", "B02", 1, "DNA"),),
                decisions=(PageDecision("missing", "late", "patience", "B02", 1, "DNA"),),
                links=(PageLink("data", "https://example.org"),),
                note="the end",
            )
        )
    )
    assert {name: found[name] for name in PLACE} == PLACE
    assert (found["status"], found["verdict"], found["rows"], found["columns"]) == ("complete", "warn", 2, 3)
    assert (found["reasons"], found["note"], found["pictures"]) == (["two wells failed"], "the end", None)
    assert found["counts"] == [{"label": "Sites", "value": 3, "expected": 4}]
    assert found["channels"] == [{"name": "DNA", "color": "#0000ff"}, {"name": "ER", "color": "#00ff00"}]
    assert found["image_metrics"] == ["FocusScore", "MeanIntensity"]
    [well] = found["wells"]
    [shown] = well.pop("sites")
    assert well == {
        "well": "AA12",
        "row": 26,
        "column": 12,
        "treatment": "x",
        "concentration": 1.5,
        "unit": "µM",
        "control": "negcon",
        "state": "done",
        "verdict": "fail",
        "reasons": ["empty"],
    }
    assert shown == {
        "site": 2,
        "state": "done",
        "verdict": "warn",
        "reasons": ["dim"],
        "missing": ["RNA"],
        "counts": {"Cells": 7},
        "images": [
            {"channel": 1, "name": "a.tif", "verdict": "pass", "values": [0.5, None]},
            {"channel": 0, "name": "b.tif", "verdict": "fail", "values": [None, 0.25]},
        ],
    }
    place = {"well": "B02", "site": 1, "channel": "DNA"}
    assert found["statistics"] == [
        {
            "feature": "cells_count",
            "z_prime": 0.333333,
            "robust_z_prime": None,
            "ssmd": -2.0,
            "n_negcon": 4,
            "n_poscon": 5,
            "reason": "why",
        }
    ]
    assert found["faults"] == [{"name": "f.tif", "kind": "unreadable", "reason": "cut off", **place}]
    assert found["decisions"] == [{"kind": "missing", "reason": "late", "by": "patience", **place}]
    assert found["links"] == [{"label": "data", "url": "https://example.org"}]


def test_a_page_is_few_files_and_the_same_bytes_each_time(store: Store) -> None:
    pictures = draw(["DNA"])
    shown = page(channels=(PageChannel("DNA", "#0000ff"),), pictures=pictures.layout)
    assert write_page(store, "page/", shown, pictures.files) == "page/index.html"
    first = {item.key: store.read(item.key) for item in store.list("page").objects}
    names = ["data.js", "index.html", "page.css", "page.js", *pictures.files]
    assert list(first) == sorted(f"page/{name}" for name in names)
    assert read_data(first["page/data.js"])["pictures"]["sheets"]["wells"] == ["A01"]
    write_page(store, "page", shown, pictures.files)
    assert {item.key: store.read(item.key) for item in store.list("page").objects} == first


def test_the_page_itself_is_written_after_all_it_needs(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    written: list[str] = []
    monkeypatch.setattr(store, "write", lambda key, data: written.append(key))
    write_page(store, "p", page(), {"extra.webp": b""})
    assert written[0] == "p/extra.webp"
    assert written[-1] == "p/index.html"


def test_pictures_of_an_earlier_page_are_deleted_after_a_day(store: Store) -> None:
    pictures = draw(["DNA"])
    shown = page(channels=(PageChannel("DNA", "#0000ff"),), pictures=pictures.layout)
    write_page(store, "p", shown, pictures.files | {"sheet-1-0ld.webp": b"", "notes.txt": b""})
    written = {item.key for item in store.list("p").objects}
    write_page(store, "p", shown, pictures.files)
    assert {item.key for item in store.list("p").objects} == written
    write_page(store, "p", shown, pictures.files, now=time.time() + 90_000)
    assert {item.key for item in store.list("p").objects} == written - {"p/sheet-1-0ld.webp"}


def test_a_page_without_one_of_its_pictures_is_refused(store: Store) -> None:
    pictures = draw(["DNA"])
    shown = page(channels=(PageChannel("DNA", "#0000ff"),), pictures=pictures.layout)
    with pytest.raises(ValueError, match=r"without \['overview-1-\w{8}.webp', 'sheet-1-\w{8}.webp'\]"):
        write_page(store, "p", shown, {})


def test_channels_in_another_order_than_the_pictures_are_refused(store: Store) -> None:
    pictures = draw(["DNA", "ER"])
    channels = (PageChannel("ER", "#00ff00"), PageChannel("DNA", "#0000ff"))
    with pytest.raises(ValueError, match=r"\['DNA', 'ER'\], got \['ER', 'DNA'\]"):
        write_page(store, "p", page(channels=channels, pictures=pictures.layout), pictures.files)


def test_the_page_names_no_other_host_and_makes_no_html_of_text() -> None:
    for item in (files("imaging") / "page_files").iterdir():
        text = item.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|\bfetch\(|XMLHttpRequest|innerHTML|outerHTML|insertAdjacentHTML", text)


def test_the_policy_of_the_page_allows_only_its_own_files() -> None:
    html = (files("imaging") / "page_files" / "index.html").read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy
    rules = dict(rule.split(" ", 1) for rule in policy[1].split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self' file:"
    assert rules["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in policy[1]


def test_every_script_of_the_page_is_joined_into_it() -> None:
    found = [item.name for item in (files("imaging") / "page_files").iterdir() if item.name.endswith(".js")]
    assert sorted(SCRIPTS) == sorted(found)


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
            image_row("B02", 1, FocusScore=1.0),
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
        name: tables.table_of(tables.TABLES[name], [PLACE | row for row in changes.get(name, found)], names)
        for name, found in rows.items()
    }


def page_of(found: dict[str, pa.Table]) -> PageData:
    return page_from_tables(found, shape=(8, 12), channels=[("DNA", "#0000ff")], links=[("data", "gs://x")])


def test_the_head_of_the_page_is_the_row_of_the_plate() -> None:
    shown = page_of(published())
    assert (shown.experiment, shown.plate, shown.recipe, shown.run) == ("screen", "P1", "cp-1", "abc")
    assert (shown.status, shown.verdict, shown.reasons) == ("with-missing", "warn", ("one well failed",))
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
        (PageImage("DNA", "B02-1.tif", IMAGE_NUMBERS | {"FocusScore": 1.0}, "pass"),),
    )
    assert b02.sites[1].counts == {"Nuclei": 4, "Cells": 3}
    assert a10.sites == (PageSite(1, "failed", "fail", ("gave up",)),)


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
    assert mean.description.startswith("Mean of the pixels, each from 0 to 1")
    assert mean.description.endswith("median over the well's images")


def test_the_unit_of_a_ratio_is_not_shown() -> None:
    ratio = feature_row("Nuclei_AreaShape_Area", "AreaShape", "Nuclei", unit="1")
    assert page_of(published(features=[ratio])).metrics[0].unit == ""


def test_metrics_beyond_the_limit_are_left_to_sql_and_the_page_says_so() -> None:
    shown = page_of(published(n_features=400))
    assert len(shown.metrics) == MOST_METRICS
    left_out = 3 + 11 + 399 - MOST_METRICS
    assert f"{MOST_METRICS} of {MOST_METRICS + left_out} metrics. The other {left_out}" in shown.note
    assert "The other" not in page_of(published()).note


def test_a_limited_page_shows_features_of_every_group() -> None:
    found = published(n_features=400, statistics=[])
    assert "Nuclei AreaShape" in {metric.group for metric in page_of(found).metrics}
    late = found | {"features": found["features"].take(list(range(399, -1, -1)))}
    assert "Nuclei AreaShape" in {metric.group for metric in page_of(late).metrics}


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
    pictures = draw(["DNA"])
    shown = page_from_tables(published(), shape=(8, 12), channels=[("DNA", "#0000ff")], pictures=pictures.layout)
    write_page(store, "p", shown, pictures.files)
    assert read_data(store.read("p/data.js"))["metrics"][0]["values"] == [None, 10]
