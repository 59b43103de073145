"""Frames of every table for Python: the rows that views show, in the form of each library, without holding more."""

from __future__ import annotations

import ast
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import dask
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import imaging
from imaging.errors import ConfigurationError, MissingPartError, PlateError, RefusedNameError, StoredDataError
from imaging.export.selection import select_plates
from imaging.query import QueryError, run_query
from imaging.results import dask_frames
from imaging.results.sources import IDENTITY
from imaging.store import Store, open_store
from imaging.tables import PUBLISHED, TABLES
from tests.imaging import small_cells, small_screen
from tests.imaging.small_screen import AREA, RATIO, RECIPE, ask, publish, record
from tests.parts import ROOT


@pytest.fixture
def two_plates(folder_store) -> Store:
    publish(folder_store)
    publish(folder_store, 1, plate="P2", run="run2")
    return folder_store


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    return sorted(table.to_pylist(), key=str)


def taken(store: Store, **choice: Any) -> set[tuple[str, str, str]]:
    wells = imaging.open_results(store).wells("screen", columns=["run"], **choice).to_arrow()
    return {(row["plate"], row["recipe"], row["run"]) for row in wells.to_pylist()}


# --- what is loaded ---------------------------------------------------------------------------------------------------


def test_to_import_the_package_loads_no_library():
    code = "import sys; before = set(sys.modules); import imaging; print(sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    ours = {name for name in ast.literal_eval(loaded.stdout) if name.partition(".")[0] not in sys.stdlib_module_names}
    assert ours == {"imaging"}


def test_arrow_frames_load_neither_dask_nor_duckdb_nor_polars(two_plates):
    code = (
        f"import imaging, sys; print(imaging.open_results({two_plates.url!r}).wells('screen').to_arrow().num_rows);"
        "print({'polars', 'dask', 'duckdb', 'prefect', 'distributed'} & set(sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.splitlines() == ["12", "set()"]


# --- which rows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_the_rows_that_its_view_shows(two_plates, name):
    found = getattr(imaging.open_results(two_plates), name)("screen").to_arrow()
    shown = run_query(two_plates, f"SELECT * FROM {name}")
    assert found.schema.names == shown.schema.names
    assert rows_of(found) == rows_of(shown)


def test_tables_can_be_read_from_any_store(store):
    publish(store)
    results = imaging.open_results(store)
    assert results.experiments() == ["screen"]
    assert results.wells("screen").to_arrow()[AREA].to_pylist()[0] == 117.0
    assert results.cells("screen").count == 36
    assert results.cells("screen").to_dask()[AREA].sum().compute() == sum(
        results.cells("screen").to_arrow()[AREA].to_pylist()
    )


@pytest.mark.parametrize("promoted", [(), ("v2-22222222",), ("v3-33333333",), ("v2-22222222", RECIPE)])
def test_the_publication_is_the_one_that_views_and_exports_take(folder_store, promoted):
    publish(folder_store)
    publish(folder_store, 2, run="again")
    if promoted:
        publish(folder_store, 1, recipe="v2-22222222", run="other")
        publish(folder_store, 1, plate="P2", recipe="v2-22222222", run="second")
        small_screen.promote(folder_store, *promoted)
    shown = ask(folder_store, "SELECT DISTINCT plate, recipe, run FROM wells")
    assert taken(folder_store) == {(row["plate"], row["recipe"], row["run"]) for row in shown}
    exported = select_plates(folder_store, "screen").plates
    assert taken(folder_store) == {(item.plate, item.recipe, item.record["run"]) for item in exported}


def test_a_recipe_can_be_asked_for_by_name_or_whole(folder_store):
    publish(folder_store)
    publish(folder_store, 1, recipe="v2-22222222", run="other")
    assert (
        taken(folder_store, recipe="v2")
        == taken(folder_store, recipe="v2-22222222")
        == {("P1", "v2-22222222", "other")}
    )
    runs = imaging.open_results(folder_store).plate_runs("screen", recipe="v2").to_arrow()
    assert runs["recipe"].to_pylist() == ["v2-22222222"]


def test_what_had_to_be_decided_is_said(folder_store):
    publish(folder_store)
    small_screen.promote(folder_store, "v2-22222222")
    frame = imaging.open_results(folder_store).wells("screen")
    (remark,) = frame.remarks
    assert remark == f"P1: not published under the recipe v2-22222222, shown under {RECIPE}"
    assert remark in repr(frame)
    assert "6 rows of 1 plate" in repr(frame)


def test_withdrawn_plates_are_not_among_all_and_an_error_alone(two_plates):
    record(two_plates, 2, status="withdrawn")
    results = imaging.open_results(two_plates)
    assert set(results.wells("screen").to_arrow()["plate"].to_pylist()) == {"P2"}
    with pytest.raises(ConfigurationError, match="P1: the plate is withdrawn"):
        results.wells("screen", plate="P1")


@pytest.mark.parametrize("plate", ["P2", ["P2"], ("P2",)])
@pytest.mark.parametrize("table", ["wells", "plate_runs"])
def test_one_plate_is_as_good_as_several(two_plates, plate, table):
    frame = imaging.open_results(two_plates).table(table, "screen", plate=plate)
    assert set(frame.to_arrow()["plate"].to_pylist()) == {"P2"}


# --- which columns ----------------------------------------------------------------------------------------------------


def test_columns_come_as_asked_behind_those_that_name_the_row(two_plates):
    results = imaging.open_results(two_plates)
    wells = results.wells("screen", columns=["treatment", AREA])
    assert wells.columns == ["experiment", "plate", "recipe", "well", "time_point", "treatment", AREA]
    assert results.cells("screen", columns=["Cells_*"]).columns == [
        "experiment",
        "plate",
        "recipe",
        "well",
        "site",
        "time_point",
        "ObjectNumber",
        RATIO,
    ]
    assert results.plate_runs("screen", columns=["status"]).columns == ["experiment", "plate", "recipe", "status"]
    assert results.wells("screen", columns="treatment").columns[-1] == "treatment"


def test_plates_with_different_features_have_null_where_one_lacks_it(folder_store):
    publish(folder_store)
    only_area = {"feature_descriptions": [small_screen.FEATURES[0]], "read_part": _areas}
    publish(folder_store, 1, plate="P2", run="other", **only_area)
    wells = imaging.open_results(folder_store).wells("screen", columns=[AREA, RATIO]).to_arrow().to_pylist()
    assert [row[RATIO] for row in wells if row["plate"] == "P2"] == [None] * 6
    assert [row[AREA] for row in wells if row["plate"] == "P2"] == [9.0] * 6
    assert [row[RATIO] for row in wells if row["plate"] == "P1"] == [2.0] * 6


def _areas(manifest: dict[str, Any], entry: str) -> pa.Table:
    if entry == "image_part":
        return pa.table({"channel": ["DNA"]})
    return pa.table({"ObjectNumber": [1], AREA: [9.0]})


def test_a_feature_of_another_precision_gets_the_greater(folder_store):
    small_cells.publish_cells(folder_store, small_cells.cells(["A01"]))
    rows = small_cells.cells(["A02"], plate="P2", missing=0.0)
    wide = rows.set_column(8, "Nuclei_A", pa.array([0.1]))
    small_cells.publish_cells(folder_store, wide, plate="P2")
    cells = imaging.open_results(folder_store).cells("screen").to_arrow()
    assert cells["Nuclei_A"].to_pylist()[1] == 0.1
    assert cells.schema.field("Cells_B").type == pa.float32()


def test_publications_of_older_software_lack_tables_and_columns_as_in_views(folder_store):
    keys = publish(folder_store)
    old = {name: key for name, key in keys.items() if name != "statistics"}
    record(folder_store, 1, plate="P9", run="old", tables=old)
    results = imaging.open_results(folder_store)
    frame = results.statistics("screen")
    assert frame.to_arrow().num_rows == 1
    assert frame.remarks == (
        "P9: its publication has no table statistics, it is of older software; publish the plate again",
    )
    assert results.statistics("screen", plate="P9").to_arrow().num_rows == 0
    assert results.statistics("screen", plate="P9").to_dask().compute().empty
    place = {name: ["screen", "screen"] for name in ("experiment", "plate", "recipe", "run", "kind")}
    pq.write_table(pa.table({**place, "site": pa.array([2, None])}), folder_store.local_path(keys["faults"]))
    faults = results.faults("screen", columns=["well"]).to_arrow()
    assert faults.select(["well", "site", "time_point"]).slice(0, 2).to_pylist() == [
        {"well": None, "site": 2, "time_point": 1},
        {"well": None, "site": None, "time_point": None},
    ]
    shown = [row["time_point"] for row in ask(folder_store, "SELECT time_point FROM faults_all")]
    assert shown[:2] == [None, None]


@pytest.mark.parametrize("table", PUBLISHED, ids=lambda table: table.name)
def test_every_table_names_its_rows_by_experiment_plate_and_recipe(table):
    assert [column.name for column in table.columns][:3] == list(IDENTITY[:3])


# --- in which form ----------------------------------------------------------------------------------------------------


def test_forms_hold_the_same(two_plates):
    frame = imaging.open_results(two_plates).wells("screen")
    arrow, polars, pandas = frame.to_arrow(), frame.to_polars(), frame.to_pandas()
    assert isinstance(polars, pl.DataFrame)
    assert polars.to_arrow().to_pylist() == arrow.to_pylist()
    assert pandas[AREA].tolist() == arrow[AREA].to_pylist()
    assert polars[RATIO].null_count() == arrow[RATIO].null_count
    assert pandas["concentration"].isna().sum() == arrow["concentration"].null_count > 0


def test_dtypes_of_pandas_follow_from_the_table_and_not_from_its_rows(two_plates):
    results = imaging.open_results(two_plates)
    wells = results.wells("screen").to_pandas()
    assert wells.dtypes.equals(results.wells("screen", plate="P1").to_pandas().iloc[:0].dtypes)
    assert wells["nuclei_count"].dtype == pd.Int64Dtype()
    assert wells[AREA].dtype == float
    assert results.plates("screen").to_pandas()["is_declared"].dtype == pd.BooleanDtype()


def test_blocks_are_row_groups(folder_store):
    rows = small_cells.cells(["A01"] * 5 + ["A02"] * 3)
    small_cells.publish_cells(folder_store, rows, (5, 3))
    frame = imaging.open_results(folder_store).cells("screen")
    assert [block.num_rows for block in frame.blocks()] == [5, 3]
    assert frame.to_arrow().equals(rows)
    assert frame.count == 8


@pytest.mark.parametrize(("form", "package"), [("to_polars", "polars"), ("to_dask", "dask.dataframe")])
def test_a_form_whose_package_is_missing_says_how_to_get_it(two_plates, monkeypatch, form, package):
    frame = imaging.open_results(two_plates).wells("screen")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPartError, match=f"need the package {package}, which is not installed: pip install"):
        getattr(frame, form)()


def test_answers_of_sql_are_frames(two_plates):
    results = imaging.open_results(two_plates)
    answer = results.sql("SELECT plate, SAFE_DIVIDE(SUM(nuclei_count), 0) AS n FROM wells GROUP BY plate ORDER BY 1")
    assert answer.to_polars().rows() == [("P1", None), ("P2", None)]
    assert answer.columns == ["plate", "n"]
    assert repr(answer) == "2 rows: plate, n"
    assert results.sql("SELECT list_sum([1, 2])::INTEGER AS x", dialect="duckdb").to_pandas()["x"].tolist() == [3]


# --- Dask -------------------------------------------------------------------------------------------------------------


def test_a_dask_frame_holds_what_the_pandas_frame_holds(two_plates):
    frame = imaging.open_results(two_plates).cells("screen")
    lazy = frame.to_dask()
    computed = lazy.compute().reset_index(drop=True)
    texts = dict.fromkeys(("experiment", "plate", "recipe", "run", "well"), "string[pyarrow]")
    pd.testing.assert_frame_equal(computed, frame.to_pandas().astype(texts))
    assert computed.dtypes.equals(lazy.dtypes)
    medians = lazy.groupby(["plate", "well"])[AREA].mean().compute()
    assert medians.loc[("P2", "A01")] == 117.0


def test_a_partition_is_some_row_groups_of_one_plate(folder_store, monkeypatch):
    for plate in ("P1", "P2"):
        small_cells.publish_cells(folder_store, small_cells.cells(["A01"] * 6, plate=plate), (2, 2, 1, 1), plate=plate)
    frame = imaging.open_results(folder_store).cells("screen", columns=["Nuclei_A"])
    assert frame.to_dask().npartitions == 2
    monkeypatch.setattr(dask_frames, "PARTITION_BYTES", 1)
    assert frame.to_dask().npartitions == 8
    monkeypatch.setattr(dask_frames, "PARTITION_BYTES", 2 * (4 * 16 + 3 * 8 + 4))
    with dask.config.set(scheduler="synchronous"):
        assert [len(part) for part in dask.compute(*frame.to_dask().to_delayed())] == [2, 2, 2, 2, 2, 2]
        assert frame.to_dask()["plate"].unique().compute().tolist() == ["P1", "P2"]
    assert list(frame.to_dask().columns) == [*[name for name in IDENTITY if name != "channel"], "Nuclei_A"]


def test_a_partition_takes_the_address_of_the_store_to_its_worker(gcs_store):
    publish(gcs_store)
    sent = pickle.dumps(imaging.open_results(gcs_store).cells("screen", columns=[AREA]).to_dask())
    assert pickle.loads(sent)[AREA].sum().compute() == sum(
        row["a"] for row in ask(gcs_store, f"SELECT {AREA} AS a FROM cells")
    )


@pytest.mark.parametrize(("way", "most_mb"), [("blocks", 15), ("dask", 15), ("aggregate", 30)])
def test_memory_holds_a_part_of_the_cells(tmp_path, way, most_mb):
    program = [sys.executable, "-m", "tests.imaging.small_cells", str(tmp_path / "root"), way]
    made = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True)
    size, held, _ = map(float, made.stdout.split())
    assert size > 150
    assert held < most_mb


# --- what is not there ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask_for", "sentence"),
    [
        (lambda results: results.wels("screen"), "there is no table wels, did you mean wells?"),
        (lambda results: results.table("wels", "screen"), "there is no table wels, did you mean wells?"),
        (lambda results: results.wells("scren"), "there is no experiment scren, did you mean screen?"),
        (lambda results: results.wells("q"), "there is no experiment q; there are screen"),
        (
            lambda results: results.wells("screen", plate="P11"),
            "P11: the experiment has no such plate; did you mean P1?",
        ),
        (lambda results: results.wells("screen", recipe="v7"), "P1: the plate is not published under the recipe v7"),
        (lambda results: results.plate_runs("screen", plate="P11"), "there is no plate P11, did you mean P1?"),
        (lambda results: results.promotions("screen", plate="P1"), "promotions has no column plate; leave plate out"),
        (lambda results: results.promotions("screen", recipe="v1", columns=["becaus"]), "did you mean because?"),
        (
            lambda results: results.wells("screen", columns=["controll"]),
            "no column controll in wells, did you mean control?",
        ),
        (
            lambda results: results.wells("screen", columns=["Q*"]),
            "there is no column Q* in wells; there are experiment,",
        ),
        (lambda results: results.sql("SELECT * FROM wels"), "there is no table wels, did you mean wells"),
    ],
)
def test_a_misspelt_name_is_told_with_what_was_meant(two_plates, ask_for, sentence):
    with pytest.raises((ConfigurationError, QueryError)) as caught:
        ask_for(imaging.open_results(two_plates))
    assert isinstance(caught.value, PlateError)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("choice", [{"experiment": "a'b"}, {"plate": "P1' OR '1'='1"}, {"recipe": "v1' OR '1'='1"}])
def test_names_that_could_be_sql_are_refused(two_plates, choice):
    with pytest.raises(RefusedNameError):
        imaging.open_results(two_plates).plate_runs(**({"experiment": "screen"} | choice))


def test_what_is_no_table_is_no_attribute(two_plates):
    results = imaging.open_results(two_plates)
    assert not hasattr(results, "nothing")
    assert {"wells", "cells", "plate_runs", "experiments"} <= set(dir(results))
    assert list(results.tables()) == list(TABLES)


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_folder_that_is_not_there_is_an_error_and_is_not_made(tmp_path: Path, form: str):
    missing = tmp_path / "laab"
    with pytest.raises(ConfigurationError, match="there is no such folder"):
        imaging.open_results(form.format(missing))
    assert not missing.exists()


def test_a_store_without_results_says_so(tmp_path: Path):
    results = imaging.open_results(tmp_path)
    assert results.experiments() == []
    with pytest.raises(ConfigurationError, match="no experiment screen; nothing has been measured in this store yet"):
        results.wells("screen")


@pytest.mark.parametrize("damage", ["gone", "damaged"])
def test_a_file_that_cannot_be_read_is_named(folder_store, damage):
    keys = publish(folder_store)
    lazy = imaging.open_results(folder_store).cells("screen").to_dask()
    folder_store.delete(keys["cells"])
    if damage == "damaged":
        folder_store.write(keys["cells"], b"PAR1 nothing PAR1")
    with pytest.raises(StoredDataError) as caught:
        imaging.open_results(folder_store).cells("screen")
    assert (caught.value.plate, caught.value.key) == ("P1", keys["cells"])
    with pytest.raises(StoredDataError):
        lazy.compute()


def test_a_path_or_address_or_open_store_is_taken(folder_store):
    publish(folder_store)
    for store in (folder_store, folder_store.url, Path(folder_store.url.removeprefix("file://"))):
        assert imaging.open_results(store).wells("screen").count == 6
    assert repr(imaging.open_results(open_store("memory://x"))) == "results in memory://x"
