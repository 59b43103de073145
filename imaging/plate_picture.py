"""Pictures of a plate for places that show no page, such as an orchestrator's: labelled rows and columns, a legend.

Drawn with Pillow and its own font, so the same plate gives the same picture everywhere. A verdict has a sign beside its
colour, so that colour is never the only carrier.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from imaging.live_atlas import LiveAtlas
from imaging.render import encode_webp
from imaging.wells import Well, parse_well, row_name

Color = tuple[int, int, int]
GROUND, INK, FAINT = (255, 255, 255), (23, 34, 45), (217, 223, 229)
GRID, NO_PICTURE = (70, 80, 90), (178, 186, 194)
VERDICT_COLORS: dict[str, Color] = {
    "pass": (63, 150, 98),
    "warn": (250, 184, 50),
    "fail": (205, 54, 47),
    "waiting": (205, 212, 219),
}
VERDICT_WORDS = {"pass": "pass", "warn": "warning", "fail": "fail", "waiting": "waiting"}
CONTROL_WORDS = {"negcon": "negative control", "poscon": "positive control", "empty": "empty well"}

_PLATE_PX, _CELLS_PX = 960, (18, 56)
"""Width that a plate's cells are meant to fill, and the least and greatest side of one."""
_LABEL_PX, _LEGEND_PX = 26, 30
_SIDES_PX, _QUALITIES = (1200, 960, 768, 600, 440, 320), (80, 60, 40)
_SIGN_INK = {"pass": (255, 255, 255), "warn": INK, "fail": (255, 255, 255), "waiting": INK}


def draw_verdicts(wells: Iterable[Mapping[str, Any]], shape: tuple[int, int]) -> np.ndarray:
    """Draw a plate by the verdicts of its wells.

    Parameters
    ----------
    wells
        Rows of the table ``wells``: ``well``, ``verdict`` (``None`` while it is waited for) and ``control``; of several
        time points the worst verdict is shown. Wells without a row are not imaged: a dot.
    shape
        Rows and columns of the plate.

    Returns
    -------
    Shape ``(y, x, 3)``, uint8: the labelled plate and a legend with the number of wells of each verdict. Controls are
    framed.
    """
    rows, columns = shape
    cell = min(_CELLS_PX[1], max(_CELLS_PX[0], _PLATE_PX // columns))
    width = max(columns * cell + 2 * _LABEL_PX, 640)
    picture = Image.new("RGB", (width, rows * cell + _LABEL_PX + 2 * _LEGEND_PX), GROUND)
    draw = ImageDraw.Draw(picture)
    left = (width - columns * cell) // 2
    _label(draw, shape, cell, left)
    for row in range(rows):
        for column in range(columns):
            _dot(draw, left + column * cell + cell / 2, _LABEL_PX + row * cell + cell / 2)
    counts: Counter[str] = Counter()
    controls: set[str] = set()
    for item in _worst(wells):
        place, verdict = parse_well(item["well"]), item["verdict"] or "waiting"
        x, y = left + (place.column - 1) * cell, _LABEL_PX + place.row * cell
        _well(draw, (x, y), cell, verdict, item["control"])
        counts[verdict] += 1
        controls |= {item["control"]} & CONTROL_WORDS.keys()
    _legend(draw, left, _LABEL_PX + rows * cell + 8, counts, controls)
    return np.asarray(picture)


def _worst(wells: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    """One row per well, that with the worst verdict; one that is waited for stands between warning and pass."""
    order = ("fail", "warn", None, "pass")
    worst: dict[str, Mapping[str, Any]] = {}
    for item in wells:
        known = worst.get(item["well"])
        if known is None or order.index(item["verdict"]) < order.index(known["verdict"]):
            worst[item["well"]] = item
    return worst.values()


def draw_overview(atlas: LiveAtlas, *, max_bytes: int) -> bytes:
    """Draw the composite of a plate with labelled rows and columns as a WebP of at most so many bytes.

    Wells without a picture are grey. The picture becomes coarser first, then smaller, until it fits.
    """
    data = b""
    for side in _SIDES_PX:
        picture = _framed(atlas, side)
        for quality in _QUALITIES:
            data = encode_webp(picture, quality=quality)
            if len(data) <= max_bytes:
                return data
    return data


def _framed(atlas: LiveAtlas, max_side_px: int) -> np.ndarray:
    overview, grid = atlas.composite(max_side_px=max_side_px), atlas.grid
    height, width = overview.shape[:2]
    picture = Image.new("RGB", (width + _LABEL_PX, height + _LABEL_PX), GROUND)
    picture.paste(Image.fromarray(overview), (_LABEL_PX, _LABEL_PX))
    draw = ImageDraw.Draw(picture)
    cell = width / grid.columns
    for row in range(grid.rows):
        for column in range(grid.columns):
            x, y = _LABEL_PX + column * cell, _LABEL_PX + row * cell
            is_drawn = str(Well(row, column + 1)) in atlas.wells
            draw.rectangle((x, y, x + cell, y + cell), None if is_drawn else NO_PICTURE, GRID)
    _label(draw, (grid.rows, grid.columns), cell, _LABEL_PX)
    return np.asarray(picture)


def _label(draw: ImageDraw.ImageDraw, shape: tuple[int, int], cell: float, left: int) -> None:
    """Write the names of rows and columns beside cells; where these are small, of each second or fourth."""
    font = ImageFont.load_default(size=max(9, min(15, int(cell * 0.6))))
    step = label_step(cell)
    for row in range(0, shape[0], step):
        draw.text((left - 5, _LABEL_PX + (row + 0.5) * cell), row_name(row), INK, font, anchor="rm")
    for column in range(0, shape[1], step):
        draw.text((left + (column + 0.5) * cell, _LABEL_PX - 5), str(column + 1), INK, font, anchor="mb")


def label_step(cell: float) -> int:
    """Distance of labelled rows and columns, in cells of so many pixels: 1 labels each."""
    return next((step for step in (1, 2, 4) if step * cell >= 15), 8)


def _well(draw: ImageDraw.ImageDraw, corner: tuple[int, int], cell: int, verdict: str, control: str | None) -> None:
    x, y = corner
    gap = max(1, cell // 16)
    box = (x + gap, y + gap, x + cell - gap - 1, y + cell - gap - 1)
    draw.rounded_rectangle(box, max(2, cell // 6), VERDICT_COLORS[verdict])
    is_control = control in CONTROL_WORDS
    if is_control:
        draw.rounded_rectangle(box, max(2, cell // 6), outline=INK, width=max(2, cell // 14))
    size = cell / 5
    middle = x + (cell - 1) / 2, y + (cell - 1) / 2
    if verdict in ("warn", "fail"):
        _sign(draw, verdict, middle, size, _SIGN_INK[verdict])
    elif is_control:
        _sign(draw, str(control), middle, size, _SIGN_INK[verdict])


def _sign(draw: ImageDraw.ImageDraw, sign: str, middle: tuple[float, float], size: float, ink: Color) -> None:
    """Draw a cross (fail), an exclamation mark (warn), a minus, a plus or a ring; ``size`` is half its height."""
    x, y = middle
    thick = max(2, round(size / 2.2))
    if sign == "fail":
        draw.line((x - size, y - size, x + size, y + size), ink, thick)
        draw.line((x - size, y + size, x + size, y - size), ink, thick)
    elif sign == "warn":
        draw.line((x, y - 1.2 * size, x, y + 0.3 * size), ink, thick)
        draw.line((x, y + 0.8 * size, x, y + 1.2 * size), ink, thick)
    elif sign == "empty":
        draw.ellipse((x - size, y - size, x + size, y + size), outline=ink, width=thick)
    else:
        draw.line((x - size, y, x + size, y), ink, thick)
        if sign == "poscon":
            draw.line((x, y - size, x, y + size), ink, thick)


def _dot(draw: ImageDraw.ImageDraw, x: float, y: float) -> None:
    draw.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), FAINT)


def _legend(draw: ImageDraw.ImageDraw, left: int, top: int, counts: Counter[str], controls: set[str]) -> None:
    """Write what colours and signs mean, verdicts with their numbers of wells in one line, controls in the next."""
    font, side = ImageFont.load_default(size=15), 20
    verdicts = [(verdict, None, f"{counts[verdict]} {words}") for verdict, words in VERDICT_WORDS.items()]
    marked = [("waiting", control, words) for control, words in CONTROL_WORDS.items() if control in controls]
    for line, entries in enumerate((verdicts, marked)):
        x, y = left, top + line * (_LEGEND_PX - 4)
        for verdict, control, words in entries:
            _well(draw, (x, y), side, verdict, control)
            draw.text((x + side + 5, y + side / 2), words, INK, font, anchor="lm")
            x += side + 24 + int(draw.textlength(words, font))
