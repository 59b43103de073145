"""Values of tables as Arrow columns."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from imaging.columns import column_of, read_time
from imaging.table_schema import arrow_schema
from imaging.tables import SITE_RUNS


@pytest.mark.parametrize(
    "values",
    [
        [1.5, None, math.nan, math.inf, -math.inf],
        np.array([1.5, math.nan, math.nan, math.inf, -math.inf]),
        pa.array([1.5, None, math.nan, math.inf, -math.inf]),
        pa.chunked_array([[1.5, None], [math.nan, math.inf, -math.inf]]),
    ],
    ids=["python", "numpy", "arrow", "chunked"],
)
def test_what_is_no_number_becomes_null(values):
    assert column_of(values, pa.float64()).to_pylist() == [1.5, None, None, None, None]


def test_numbers_of_other_types_are_converted():
    assert column_of(np.array([1, 2], np.uint16), pa.float64()).to_pylist() == [1.0, 2.0]
    assert column_of(pa.array([1, 2], pa.int32()), pa.int64()).type == pa.int64()


def test_lists_of_texts_are_never_null():
    assert column_of([None, ["a"], ("b", "c")], pa.list_(pa.string())).to_pylist() == [[], ["a"], ["b", "c"]]


@pytest.mark.parametrize(
    "value",
    ["2026-02-03T04:05:06+00:00", "2026-02-03T05:05:06+01:00", "2026-02-03T04:05:06", 1770091506, 1770091506.0],
)
def test_times_are_utc_whatever_they_are_written_as(value):
    moment = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert read_time(value) == moment
    read = read_time(value)
    assert read is not None
    assert read.utcoffset() == moment.utcoffset()
    assert column_of([value, None], arrow_schema(SITE_RUNS).field("started_at").type).to_pylist() == [moment, None]


@pytest.mark.parametrize("value", [1e18, -1e18, 1e300, ["2026"], "yesterday"])
def test_what_is_no_time_is_said(value):
    with pytest.raises(ValueError, match=r"time|isoformat"):
        read_time(value)
