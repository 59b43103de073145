"""A plate's page: its data are safe and reproducible, and it shows what the published tables say."""

from __future__ import annotations

import math
import re
import time
from importlib.resources import files
from pathlib import Path

import pytest

from imaging.page import (
    SCRIPTS,
    PageChannel,
    PageCount,
    PageDecision,
    PageFact,
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
from imaging.store import Store, open_store
from tests.imaging.small_page import PLACE, draw_one_well, empty_page, read_data


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path))


def test_no_text_of_a_plate_can_end_the_script() -> None:
    hostile = "</script><!--<img src=x onerror=alert(1)>&\u2028\u2029µ\ud83d"
    data = encode_data(empty_page(wells=(PageWell("A01", treatment=hostile),)))
    assert data.isascii()
    assert not set(b"<>&") & set(data)
    assert read_data(data)["wells"][0]["treatment"] == hostile


def test_numbers_have_six_digits_counts_are_exact_and_nothing_is_nan() -> None:
    values = {"a": 0.123456789, "b": 123_456_789, "c": math.nan, "d": math.inf, "e": None}
    wells = (PageWell("B03", values=values, concentration=0.1 + 0.2),)
    found = read_data(
        encode_data(empty_page(wells=wells, metrics=tuple(PageMetric(name, name) for name in [*values, "f"])))
    )
    assert [metric["values"][0] for metric in found["metrics"]] == [0.123457, 123_456_789, None, None, None, None]
    assert found["wells"][0]["concentration"] == 0.3


def test_data_hold_everything_the_page_shows() -> None:
    image = PageImage("ER", "a.tif", {"FocusScore": 0.5, "MeanIntensity": math.nan}, "pass")
    sparse = PageImage("DNA", "b.tif", {"MeanIntensity": 0.25}, "fail", ("blurred",))
    site = PageSite(2, "done", "warn", ("dim",), ("RNA",), {"Cells": 7}, (image, sparse))
    found = read_data(
        encode_data(
            empty_page(
                verdict="warn",
                reasons=("two wells failed",),
                not_judged=("few wells",),
                counts=(PageCount("Sites", 3, 4),),
                costs=(PageFact("Cost", "1.20 USD", "of 2"),),
                notice="stop",
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
    assert found["not_judged"] == ["few wells"]
    assert found["costs"] == [{"label": "Cost", "text": "1.20 USD", "more": "of 2"}]
    assert found["notice"] == "stop"
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
        "is_linear": False,
        "control": "negcon",
        "state": "done",
        "verdict": "fail",
        "reasons": ["empty"],
    }
    assert shown == {
        "site": 2,
        "label": "2",
        "state": "done",
        "verdict": "warn",
        "reasons": ["dim"],
        "missing": ["RNA"],
        "counts": {"Cells": 7},
        "images": [
            {"channel": 1, "name": "a.tif", "verdict": "pass", "reasons": [], "values": [0.5, None]},
            {"channel": 0, "name": "b.tif", "verdict": "fail", "reasons": ["blurred"], "values": [None, 0.25]},
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
    pictures = draw_one_well(["DNA"])
    shown = empty_page(channels=(PageChannel("DNA", "#0000ff"),), pictures=pictures.layout)
    assert write_page(store, "page/", shown, pictures.files) == "page/index.html"
    first = {item.key: store.read(item.key) for item in store.list("page").objects}
    names = ["data.js", "index.html", "links.js", "live.js", "page.css", "page.js", *pictures.files]
    assert list(first) == sorted(f"page/{name}" for name in names)
    assert read_data(first["page/data.js"])["pictures"]["sheets"]["wells"] == ["A01"]
    assert read_data(first["page/data.js"])["updated_at"] is None
    assert first["page/live.js"] == b"window.LIVE = null;\n"
    write_page(store, "page", shown, pictures.files)
    assert {item.key: store.read(item.key) for item in store.list("page").objects} == first


def test_the_page_itself_is_written_after_all_it_needs(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    written: list[str] = []
    monkeypatch.setattr(store, "write", lambda key, data: written.append(key))
    write_page(store, "p", empty_page(), {"extra.webp": b""})
    assert written[0] == "p/extra.webp"
    assert written[-1] == "p/index.html"


def test_pictures_of_an_earlier_page_are_deleted_after_a_day(store: Store) -> None:
    pictures = draw_one_well(["DNA"])
    shown = empty_page(channels=(PageChannel("DNA", "#0000ff"),), pictures=pictures.layout)
    write_page(store, "p", shown, pictures.files | {"sheet-1-0ld.webp": b"", "notes.txt": b""})
    written = {item.key for item in store.list("p").objects}
    write_page(store, "p", shown, pictures.files)
    assert {item.key for item in store.list("p").objects} == written
    write_page(store, "p", shown, pictures.files, now=time.time() + 90_000)
    assert {item.key for item in store.list("p").objects} == written - {"p/sheet-1-0ld.webp"}


def test_a_published_page_leaves_no_live_picture(store: Store) -> None:
    store.write("p/live-1-0123abcd.webp", b"")
    store.write("p/livelier.webp", b"")
    write_page(store, "p", empty_page(), {})
    assert [item.key for item in store.list("p").objects if item.key.endswith(".webp")] == ["p/livelier.webp"]


def test_a_page_without_one_of_its_pictures_is_refused(store: Store) -> None:
    pictures = draw_one_well(["DNA"])
    shown = empty_page(channels=(PageChannel("DNA", "#0000ff"),), pictures=pictures.layout)
    with pytest.raises(ValueError, match=r"without \['overview-1-\w{8}.webp', 'sheet-1-\w{8}.webp'\]"):
        write_page(store, "p", shown, {})


def test_channels_in_another_order_than_the_pictures_are_refused(store: Store) -> None:
    pictures = draw_one_well(["DNA", "ER"])
    channels = (PageChannel("ER", "#00ff00"), PageChannel("DNA", "#0000ff"))
    with pytest.raises(ValueError, match=r"\['DNA', 'ER'\], got \['ER', 'DNA'\]"):
        write_page(store, "p", empty_page(channels=channels, pictures=pictures.layout), pictures.files)


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
