"""Every line of docs/results.md runs, in its order, and prints what stands behind it."""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from io import StringIO
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imaging.names import to_json
from imaging.store import Store, open_store
from imaging.table_schema import table_of
from imaging.tables import CELLS, FEATURES, PLATES, TABLES, WELLS
from tests.parts import ROOT

GUIDE = (ROOT / "docs" / "results.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```\n(?:```\n(.*?)```)?", GUIDE, re.DOTALL)
RATIO = "Cells_Intensity_NucleusCytoplasmRatio_GFP"
PLACE = {"experiment": "bbbc013", "plate": "BBBC013", "recipe": "v1-0123abcd", "run": "run1"}
CURVE = (
    (0.83, 0.05),
    (0.87, 0.05),
    (1.06, 0.02),
    (1.9, 0.33),
    (4.97, 0.6),
    (6.46, 0.53),
    (6.31, 0.22),
    (6.45, 0.18),
    (6.56, 0.17),
)
"""Mean and standard deviation of the demo's wells at each dose, as README.md shows them."""


def _wells() -> list[dict[str, Any]]:
    """The demo's wells: four of each dose, with the means and deviations that it has, eight controls and four."""
    rows = [(dose, "trt", _spread(CURVE[dose - 1], number)) for dose in range(1, 10) for number in range(4)]
    rows += [(0, "negcon", 0.8)] * 8 + [(10, "poscon", 6.6)] * 4
    names = [f"{row}{column:02d}" for row in "ABCD" for column in range(1, 13)]
    return [
        {**PLACE, "well": well, "time_point": 1, "concentration": float(dose), "control": kind, RATIO: ratio}
        | {"treatment": "wortmannin" if dose else "untreated", "nuclei_count": 10}
        for well, (dose, kind, ratio) in zip(names, rows, strict=True)
    ]


def _spread(moments: tuple[float, float], number: int) -> float:
    """One of four values with this mean and sample standard deviation."""
    return moments[0] + moments[1] * 0.75**0.5 * (-1) ** number


def _cells(wells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    keys = [*PLACE, "well", "time_point", RATIO]
    return [{name: row[name] for name in keys} | {"site": 1, "ObjectNumber": n} for row in wells for n in range(1, 11)]


def _publish(store: Store, tables: dict[str, pa.Table]) -> None:
    prefix = "results/bbbc013/BBBC013/v1-0123abcd/"
    keys = {}
    for name, rows in tables.items():
        keys[name] = f"{prefix}published/000001-made/{name}.parquet"
        sink = pa.BufferOutputStream()
        pq.write_table(rows, sink)
        store.write(keys[name], sink.getvalue().to_pybytes())
    record = {**PLACE, "number": 1, "status": "complete", "published_at": "2026-02-03T05:00:00+00:00", "tables": keys}
    store.create(f"{prefix}publications/000001.json", to_json(record))


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the examples have made so far, and the folder that they run in."""
    folder = tmp_path_factory.mktemp("notebook")
    wells = _wells()
    said = {"feature": RATIO, "unit": "1", "definition": "mean in the nucleus over that in the cytoplasm"}
    rows = {
        "wells": table_of(WELLS, wells, [RATIO]),
        "cells": table_of(CELLS, _cells(wells), [RATIO]),
        "features": table_of(FEATURES, [{**PLACE, **said}]),
        "plates": table_of(PLATES, [{**PLACE, "status": "complete", "verdict": "pass"}]),
    }
    _publish(open_store(str(folder / "platestream-demo" / "data")), rows)
    return {"__name__": "notebook", "folder": folder}


def test_the_guide_has_its_examples() -> None:
    assert len(EXAMPLES) == 8
    assert sum(bool(answer) for _, answer in EXAMPLES) == 5


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_prints_what_stands_behind_it(notebook, monkeypatch, number):
    code, answer = EXAMPLES[number]
    monkeypatch.chdir(notebook["folder"])
    with redirect_stdout(StringIO()) as printed:
        exec(compile(code, f"docs/results.md, example {number + 1}", "exec"), notebook)
    if answer:
        assert printed.getvalue() == answer


def test_the_picture_shows_every_well(notebook):
    drawn = ElementTree.parse(notebook["folder"] / "dose-response.svg")
    kinds = [element.tag.rpartition("}")[2] for element in drawn.iter()]
    assert (kinds.count("circle"), kinds.count("polyline")) == (36, 3)


def test_cells_above_a_limit_are_counted_by_dose(notebook):
    assert notebook["table"]["percent_above_2"].round().tolist() == [0, 0, 0, 0, 50, 100, 100, 100, 100, 100, 100]


def test_every_way_that_is_listed_is_there(notebook):
    frame = notebook["results"].cells("bbbc013")
    listed = re.findall(r"^\| `\.(\w+)\(", GUIDE, re.MULTILINE) + re.findall(r"`\.(to_\w+)\(\)`", GUIDE)
    assert len(listed) >= 6
    assert [name for name in listed if not hasattr(frame, name)] == []
    assert [name for name in re.findall(r"`results\.(\w+)\(", GUIDE) if name not in {*TABLES, "tables", "sql"}] == []
