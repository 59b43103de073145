"""Values of a table's columns as Arrow arrays: what is no number becomes NULL, times become UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def column_of(values: Any, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    """Make a column; NaN, infinities and ``None`` become NULL, times ISO text or Unix seconds become UTC.

    Parameters
    ----------
    values
        Python values, a NumPy array or an Arrow array, shape ``(n,)``.
    kind
        Arrow type of the column.
    """
    if isinstance(values, pa.Array | pa.ChunkedArray):
        column = values.cast(kind)
    elif pa.types.is_timestamp(kind):
        column = pa.array([read_time(value) for value in values], kind)
    elif pa.types.is_list(kind):
        column = pa.array([[] if value is None else list(value) for value in values], kind)
    elif isinstance(values, np.ndarray):
        column = pa.array(values).cast(kind)
    else:
        column = pa.array(values, kind)
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_finite(column), column, pa.scalar(None, kind))  # pyright: ignore[reportAttributeAccessIssue]
    return column


def read_time(value: str | float | datetime | None) -> datetime | None:
    """Read a time given as ISO 8601 text (UTC unless it says otherwise), Unix seconds or a datetime.

    Raises
    ------
    ValueError
        If it is no time.
    """
    if value is None:
        return None
    if isinstance(value, int | float):
        try:
            return datetime.fromtimestamp(value, UTC)
        except (OverflowError, OSError) as error:
            raise ValueError(f"{value!r} seconds are no time") from error
    if not isinstance(value, str | datetime):
        raise ValueError(f"{value!r} is no time")
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
