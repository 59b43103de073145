"""The picture of a plate that a message carries: its wells by verdict, in few colours and so in few bytes."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from imaging.plate_picture import draw_verdicts
from imaging.store import Store
from imaging.wells import PLATE_SHAPES, parse_well

_SHOWN = ["well", "verdict", "control"]
WIDTH_PX, COLORS = 640, 32


def draw_wells(store: Store, key: str) -> bytes:
    """Draw a published table ``wells`` as a PNG; nothing where it is not there or cannot be read.

    Raises
    ------
    StoreUnavailableError
        If the storage does not answer.
    """
    try:
        rows = pq.read_table(io.BytesIO(store.read(key)), columns=_SHOWN).to_pylist()
    except (FileNotFoundError, pa.ArrowException):  # a superseded publication was deleted, or its table is damaged
        return b""
    places = [parse_well(row["well"]) for row in rows]
    fitting = [
        shape
        for shape in PLATE_SHAPES.values()
        if all(place.row < shape[0] and place.column <= shape[1] for place in places)
    ]
    if not rows or not fitting:
        return b""
    picture = Image.fromarray(draw_verdicts(rows, fitting[0]))
    if picture.width > WIDTH_PX:
        size = WIDTH_PX, round(picture.height * WIDTH_PX / picture.width)
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.quantize(COLORS).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
