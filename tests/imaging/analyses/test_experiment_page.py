"""The page of an experiment: its data are safe, bounded and what the tables say; plates and it lead to each other."""

from __future__ import annotations

import json
import math
import re
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from imaging.analyses.gallery import GalleryHit, GalleryTile, HitGallery
from imaging.analyses.page import (
    LAST,
    MOST,
    SCRIPTS,
    SHARED,
    encode_report,
    link_plates,
    plate_page_link,
    write_report,
)
from imaging.analyses.report import ExperimentReport, plain, rank_hits
from imaging.page import write_page
from imaging.shown_files import find_key
from imaging.store import Store, open_store
from tests.imaging.small_experiment import HOSTILE, large_report, small_gallery, small_report
from tests.imaging.small_page import empty_page

PAGE_FILES = files("imaging.analyses") / "page_files"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path))


def read_report(data: bytes) -> dict[str, Any]:
    return json.loads(data.decode("ascii").removeprefix("window.EXPERIMENT = ").removesuffix(";\n"))


def column(table: dict[str, Any], name: str) -> list[Any]:
    values = table[name]
    return [values["words"][place] for place in values["places"]] if isinstance(values, dict) else values


def test_no_text_of_an_experiment_can_end_the_script() -> None:
    hostile = pd.DataFrame({"treatment": [HOSTILE], "is_hit": [True], "reason": ["</script>&\u2028\ud83d"]})
    data = encode_report(ExperimentReport("e", hits=hostile, reasons=(HOSTILE,)))
    assert data.isascii()
    assert not set(b"<>&") & set(data)
    found = read_report(data)
    assert (found["hits"]["treatment"], found["reasons"]) == ([HOSTILE], [HOSTILE])


def test_what_is_no_value_is_null_and_numbers_have_six_digits() -> None:
    values = [0.123456789, math.nan, math.inf, None, np.float32(0.5), pd.NA, np.int64(7), True, pd.NaT]
    assert [plain(value) for value in values] == [0.123457, None, None, None, 0.5, None, 7, True, None]
    assert plain({"b", "a"}) == ["a", "b"]
    assert plain(np.array([1.0, math.nan])) == [1.0, None]
    assert plain(pd.Timestamp("2026-03-01T04:05:06Z")) == "2026-03-01T04:05:06+00:00"


def test_the_best_hits_come_first_whatever_the_order_of_the_rows() -> None:
    frame = pd.DataFrame(
        {
            "treatment": ["d", "a", "b", "c", "b"],
            "concentration": [1.0, 1.0, 3.0, 1.0, 1.0],
            "is_hit": [None, True, False, True, False],
            "map": [0.9, 0.5, 0.8, 0.7, 0.8],
        }
    )
    expected = [("c", 1.0), ("a", 1.0), ("d", 1.0), ("b", 1.0), ("b", 3.0)]
    for shuffled in (frame, frame.iloc[::-1], frame.iloc[[2, 0, 4, 1, 3]]):
        ranked = rank_hits(shuffled)
        assert list(zip(ranked["treatment"], ranked["concentration"], strict=True)) == expected


def test_a_table_that_lacks_a_column_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"mixing must have the columns \['method'\], without \['method'\]"):
        ExperimentReport("e", mixing=pd.DataFrame({"kbet": [0.5]}))


def test_columns_that_nobody_knows_are_left_out_and_those_that_lack_are_empty() -> None:
    found = read_report(encode_report(ExperimentReport("e", plates=pd.DataFrame({"plate": ["P1"], "secret": ["x"]}))))
    assert found["plates"] == {"rows": 1, "plate": ["P1"]}
    assert found["hits"] == {"rows": 0}


def test_data_hold_what_the_tables_say() -> None:
    report = small_report()
    found = read_report(encode_report(report, small_gallery(3)))
    ranked = rank_hits(report.hits)
    assert column(found["hits"], "treatment") == list(ranked["treatment"])
    assert column(found["hits"], "criteria") == [plain(value) for value in ranked["criteria"]]
    assert found["counts"][0] == {"label": "Hits", "value": int((ranked["is_hit"] == True).sum()), "of": len(ranked)}  # noqa: E712
    assert column(found["failures"], "evidence") == list(report.failures["evidence"])
    assert found["variance"]["factors"] == ["treatment", "batch", "plate", "position", "residual"]
    mean = report.variance[report.variance["factor"] == "batch"]["share"].mean()
    assert found["variance"]["rows"][0]["shares"][1] == pytest.approx(mean, abs=1e-4)
    assert len(found["gallery"]) == 3


def test_features_that_the_process_moves_most_come_first() -> None:
    rows = [("a", "treatment", 0.9), ("a", "batch", 0.1), ("b", "treatment", 0.2), ("b", "batch", 0.7)]
    report = ExperimentReport("e", variance=pd.DataFrame(rows, columns=["feature", "factor", "share"]))
    assert [row["feature"] for row in read_report(encode_report(report))["variance"]["rows"]] == ["", "b", "a"]


def test_a_large_experiment_stays_below_three_megabytes() -> None:
    data = encode_report(large_report())
    found = read_report(data)
    assert (found["hits"]["rows"], found["points"]["rows"]) == (2354, 9216)
    assert len(data) < 3_000_000


def test_what_the_page_has_no_room_for_is_counted_and_said() -> None:
    many = MOST["hits"] + 5
    hits = pd.DataFrame(
        {"treatment": [f"t{number}" for number in range(many)], "is_hit": [False] * (many - 1) + [True]}
    )
    charts = pd.DataFrame({"plate": "P", "mean": 1.0, "feature": ["a"] * MOST["charts"] + ["b"] * 3})
    doses = pd.DataFrame({"treatment": ["t1", "elsewhere"], "concentration": 1.0, "value": 2.0})
    found = read_report(encode_report(ExperimentReport("e", hits=hits, charts=charts, doses=doses)))
    assert found["hits"]["rows"] == MOST["hits"]
    assert column(found["hits"], "treatment")[0] == f"t{many - 1}"
    assert found["notes"] == [
        "This page shows 5,000 of 5,005 treatments; all are in the table hits.",
        "This page shows 1 of 2 doses of curves; all are in the table dose_points.",
        "This page shows 8,000 of 8,003 points of control charts; all are in the table controls.",
    ]
    assert set(column(found["charts"], "feature")) == {"a"}
    assert column(found["doses"], "treatment") == ["t1"]


def test_points_of_a_huge_experiment_are_spread_over_all() -> None:
    points = pd.DataFrame({"x": np.arange(30_000.0), "y": 0.0})
    shown = column(read_report(encode_report(ExperimentReport("e", points=points)))["points"], "x")
    assert len(shown) == MOST["points"]
    assert (shown[0], shown[-1] > 29_900) == (0.0, True)


def test_a_page_is_few_files_the_same_bytes_each_time_and_its_index_comes_last(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, gallery = small_report(), small_gallery(2)
    key = write_report(store, report, gallery)
    assert key == "results/dose response 2026/_experiment/current/page/index.html"
    folder = key.removesuffix("index.html")
    first = {item.key: store.read(item.key) for item in store.list(folder).objects}
    names = ["data.js", "index.html", "page.css", "page.js", *gallery.files]
    assert sorted(first) == sorted(f"{folder}{name}" for name in names)
    write_report(store, report, gallery)
    assert {item.key: store.read(item.key) for item in store.list(folder).objects} == first
    written: list[str] = []
    monkeypatch.setattr(store, "write", lambda key, data: written.append(key))
    write_report(store, report, gallery)
    assert written[-1] == key
    assert written[0].endswith(".webp")


def test_pictures_that_the_page_no_longer_shows_are_deleted_after_a_day(store: Store) -> None:
    report, gallery = small_report(), small_gallery(2)
    folder = write_report(store, report, gallery).removesuffix("index.html")
    write_report(store, report, HitGallery())
    assert any(item.key.endswith(".webp") for item in store.list(folder).objects)
    write_report(store, report, HitGallery(), now=time.time() + 90_000)
    assert not any(item.key.endswith(".webp") for item in store.list(folder).objects)


def test_every_file_of_the_page_may_be_shown_by_the_web_server(store: Store) -> None:
    key = write_report(store, small_report(), small_gallery(1))
    for item in store.list(key.removesuffix("index.html")).objects:
        assert find_key(f"/{item.key}") == item.key
    assert find_key("/results/e/_experiment/current/analysis.json") is None


def test_plates_link_to_their_experiment_once_there_is_its_page(store: Store) -> None:
    folder = "results/screen/P1/cp-1/page/"
    write_page(store, folder, empty_page(), {})
    assert store.read(f"{folder}links.js") == b"window.LINKS = [];\n"
    assert link_plates(store, [folder, "results/screen/P2/cp-1/page/"]) == 1
    linked = store.read(f"{folder}links.js")
    [link] = json.loads(linked.removeprefix(b"window.LINKS = ").removesuffix(b";\n"))
    assert link == {"label": "experiment", "url": "../../../_experiment/current/page/index.html"}
    assert link_plates(store, [folder]) == 0
    write_page(store, folder, empty_page(), {})
    assert store.read(f"{folder}links.js") == linked
    assert not store.exists("results/screen/P2/cp-1/page/links.js")


def test_a_plate_of_an_older_version_is_linked_too(store: Store) -> None:
    store.write("results/screen/P1/cp-1/page/index.html", b"<!doctype html>")
    assert link_plates(store, ["results/screen/P1/cp-1/page/"]) == 1


def test_the_link_to_a_plate_is_an_address_beside_the_page() -> None:
    assert plate_page_link("A #1+", "v1-0") == "../../../A%20%231%2B/v1-0/page/index.html"


def test_the_page_names_no_other_host_and_makes_no_html_of_text() -> None:
    for item in PAGE_FILES.iterdir():
        text = item.read_text(encoding="utf-8")
        assert not re.search(r"https?://|@import|\bfetch\(|XMLHttpRequest|innerHTML|outerHTML|insertAdjacentHTML", text)


def test_the_policy_of_the_page_allows_only_its_own_files() -> None:
    html = (PAGE_FILES / "index.html").read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy
    rules = dict(rule.split(" ", 1) for rule in policy[1].split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self' file:"
    assert rules["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in policy[1]


def test_every_script_of_the_page_is_joined_into_it(store: Store) -> None:
    found = [item.name for item in PAGE_FILES.iterdir() if item.name.endswith(".js")]
    assert sorted([*SCRIPTS, LAST]) == sorted(found)
    key = write_report(store, small_report())
    script = store.read(key.replace("index.html", "page.js")).decode()
    for name in (*SCRIPTS, LAST):
        assert (PAGE_FILES / name).read_text(encoding="utf-8") in script
    for name in SHARED:
        assert (files("imaging") / "page_files" / name).read_text(encoding="utf-8") in script


def test_a_picture_finds_its_hit_by_the_same_digits() -> None:
    dose = 1.0 / 2.7
    hit = GalleryHit("t1", dose, "P1", GalleryTile("B02", "hit.webp"), (), ())
    report = ExperimentReport("e", hits=pd.DataFrame({"treatment": ["t1"], "concentration": [dose]}))
    page = read_report(encode_report(report, HitGallery((hit,))))
    assert page["gallery"][0]["concentration"] == column(page["hits"], "concentration")[0] != dose
