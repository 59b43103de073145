"""Statistics of cells per well without holding the cells: those of pandas, and those of the table wells."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from imaging import open_results
from imaging.cell_statistics import STATISTICS
from imaging.errors import ConfigurationError, StoredDataError
from imaging.results import aggregation
from imaging.results.published import PublishedFrame
from imaging.store import Store
from tests.imaging import small_cells, small_screen
from tests.imaging.small_cells import FEATURES, cells, publish_cells
from tests.imaging.small_screen import AREA, RATIO

KEYS = ["experiment", "plate", "well", "time_point"]
WELLS = ["A01"] * 7 + ["A02"] * 8 + ["B01"] * 1 + ["B02"] * 20 + ["B03"] * 5


def published(store: Store, rows: pa.Table | None = None, groups: tuple[int, ...] = ()) -> PublishedFrame:
    publish_cells(store, cells(WELLS) if rows is None else rows, groups)
    return open_results(store).cells("screen")


def by_pandas(rows: pa.Table, by: list[str], statistic: str) -> pd.DataFrame:
    """What pandas computes in double precision, groups in the order of their first rows."""
    frame = rows.to_pandas().astype(dict.fromkeys(FEATURES, np.float64))
    grouped = frame.groupby(by, sort=False, dropna=False)[list(FEATURES)]
    if statistic == "mad":
        deviations = (frame[list(FEATURES)] - grouped.transform("median")).abs()
        return deviations.groupby([frame[name] for name in by], sort=False).median()
    return getattr(grouped, statistic)()


@pytest.mark.parametrize("groups", [(), (15, 26), (7, 8, 1, 20, 5), (3, 3, 3, 30, 2)])
@pytest.mark.parametrize("by", [KEYS, ["well"], ["plate"], ["site", "well"]])
def test_medians_are_those_of_pandas_to_the_last_bit(folder_store, groups, by):
    rows = cells(WELLS)
    ours = published(folder_store, rows, groups).aggregate(by).to_pandas()
    theirs = by_pandas(rows, by, "median").reset_index()
    assert ours[by].to_numpy().tolist() == theirs[by].to_numpy().tolist()
    np.testing.assert_array_equal(ours[list(FEATURES)], theirs[list(FEATURES)])


@pytest.mark.parametrize("statistic", STATISTICS)
def test_every_statistic_is_that_of_pandas(folder_store, statistic):
    rows = cells(WELLS)
    ours = published(folder_store, rows).aggregate("well", statistic).to_pandas().set_index("well")
    theirs = by_pandas(rows, ["well"], statistic)
    assert list(ours.columns) == [f"{STATISTICS[statistic][0]}{name}" for name in FEATURES]
    np.testing.assert_allclose(ours.to_numpy(float), theirs.to_numpy(float), rtol=1e-13)


def test_wells_are_aggregated_as_publications_aggregate_them(folder_store):
    small_screen.publish(folder_store)
    results = open_results(folder_store)
    found = results.cells("screen").aggregate().to_arrow()
    wells = results.wells("screen", columns=[AREA, RATIO]).to_arrow().select(found.schema.names)
    assert found.equals(wells)


def test_what_is_not_known_is_left_out_and_null_where_nothing_is(folder_store):
    rows = cells(["A01", "A01", "A01", "B01"], missing=0.0)
    rows = rows.set_column(8, "Nuclei_A", pa.array([1.0, None, 4.0, None], pa.float32()))
    found = published(folder_store, rows).aggregate("well", ("median", "count")).to_arrow()
    assert found["Nuclei_A"].to_pylist() == [2.5, None]
    assert found["Count_Nuclei_A"].to_pylist() == [2, 0]
    assert found["Cells_C"].null_count == 1
    assert not any(math.isnan(value) for value in found["Cells_C"].to_pylist() if value is not None)


def test_several_statistics_stand_behind_one_another(folder_store):
    found = published(folder_store).aggregate("plate", ("mad", "median"))
    assert found.columns == ["plate", *(f"MAD_{name}" for name in FEATURES), *FEATURES]


def test_the_order_of_cells_changes_no_median(folder_store, tmp_path):
    rows = cells(WELLS)
    shuffled = rows.take(np.random.default_rng(3).permutation(rows.num_rows))
    first = published(folder_store, rows, (15, 26)).aggregate("well", ("median", "mad", "mean")).to_pandas()
    other = small_cells.open_store(str(tmp_path / "other"))
    second = published(other, shuffled, (20, 21)).aggregate("well", ("median", "mad", "mean")).to_pandas()
    first, second = first.set_index("well").sort_index(), second.set_index("well").sort_index()
    means = [f"Mean_{name}" for name in FEATURES]
    pd.testing.assert_frame_equal(first.drop(columns=means), second.drop(columns=means), check_exact=True)
    np.testing.assert_allclose(first[means], second[means], rtol=1e-12)


def test_what_is_read_at_once_and_by_how_many_threads_changes_no_value(folder_store, monkeypatch):
    frame = published(folder_store, groups=(3, 3, 3, 30, 2))
    at_once = frame.aggregate("well", ("median", "mean")).to_arrow()
    threads = pa.cpu_count()
    monkeypatch.setattr(aggregation, "BATCH_BYTES", 1)
    monkeypatch.setattr(aggregation, "_AT_ONCE", 1)
    try:
        for count in (1, 3):
            pa.set_cpu_count(count)
            assert frame.aggregate("well", ("median", "mean")).to_arrow().equals(at_once)
    finally:
        pa.set_cpu_count(threads)


def test_a_span_ends_where_no_group_goes_on(folder_store):
    frame = published(folder_store, groups=(15, 16, 10))

    def spans(by: tuple[str, ...]) -> list[list[int]]:
        keys: dict[tuple[object, ...], int] = {}
        numbered = list(aggregation._numbered(frame, by, keys))
        return [[group.number for group in span] for span in aggregation._spans(numbered, len(keys))]

    assert spans(("well",)) == [[0], [1, 2]]
    assert spans(("plate",)) == [[0, 1, 2]]
    assert spans(("ObjectNumber",)) == [[0], [1], [2]]


def test_groups_go_over_plates_where_they_are_asked_to(folder_store):
    first, second = cells(["A01", "A02"], seed=1), cells(["A02", "A01"], plate="P2", seed=2)
    publish_cells(folder_store, first)
    publish_cells(folder_store, second, plate="P2")
    frame = open_results(folder_store).cells("screen")
    theirs = by_pandas(pa.concat_tables([first, second]), ["well"], "median")
    np.testing.assert_array_equal(frame.aggregate("well").to_pandas()[list(FEATURES)], theirs)
    assert frame.aggregate(["plate", "well"]).to_arrow().num_rows == 4


def test_null_is_a_group_like_others(folder_store):
    small_screen.publish(folder_store)
    wells = open_results(folder_store).wells("screen")
    found = wells.aggregate("treatment").to_pandas()
    assert found["treatment"].isna().sum() == 1
    assert found.loc[found["treatment"] == "DMSO", AREA].tolist() == [167.0]
    assert "nuclei_count" in found
    assert "sites_done" not in found


def test_metrics_of_images_are_features_of_theirs(folder_store):
    small_screen.publish(folder_store)
    found = open_results(folder_store).images("screen").aggregate(["plate", "channel"]).to_pandas()
    assert found.set_index("channel")["MedianIntensity"].to_dict() == {"DNA": 0.01, "RNA": 0.03}
    assert "size_bytes" not in found


def test_columns_that_were_chosen_are_aggregated_alone(folder_store):
    publish_cells(folder_store, cells(WELLS))
    chosen = open_results(folder_store).cells("screen", columns=["Cells_*"]).aggregate("well")
    assert chosen.columns == ["well", "Cells_B", "Cells_C"]


def test_no_cells_make_no_group(folder_store):
    assert published(folder_store, cells([])).aggregate("well").to_arrow().num_rows == 0


def test_other_stores_are_read_too(gcs_store):
    rows = cells(WELLS)
    ours = published(gcs_store, rows, (15, 26)).aggregate("well").to_pandas()
    np.testing.assert_array_equal(ours[list(FEATURES)], by_pandas(rows, ["well"], "median"))


@pytest.mark.parametrize(
    ("by", "statistic", "sentence"),
    [
        ("wel", "median", "there is no column wel in cells, did you mean well?"),
        ("well", "medin", "there is no statistic medin, did you mean median?"),
        ((), "median", "needs a column to aggregate by"),
        ("well", (), "needs a column to aggregate by and a statistic"),
    ],
)
def test_what_is_not_known_is_an_error(folder_store, by, statistic, sentence):
    with pytest.raises(ConfigurationError, match=sentence.replace("?", "[?]")):
        published(folder_store).aggregate(by, statistic)


def test_a_table_without_features_cannot_be_aggregated(folder_store):
    small_screen.publish(folder_store)
    with pytest.raises(ConfigurationError, match="faults has no features among the columns that were chosen"):
        open_results(folder_store).faults("screen").aggregate("plate")


def test_a_file_that_goes_away_is_named(folder_store):
    key = publish_cells(folder_store, cells(WELLS))
    frame = open_results(folder_store).cells("screen")
    folder_store.delete(key)
    with pytest.raises(StoredDataError, match="is gone") as caught:
        frame.aggregate()
    assert caught.value.key == key
