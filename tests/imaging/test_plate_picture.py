"""Pictures of a plate: the colour of each well, its signs, labels and size."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imaging.live_atlas import LiveAtlas
from imaging.plate_picture import GROUND, INK, NO_PICTURE, VERDICT_COLORS, draw_overview, draw_verdicts, label_step
from imaging.render import encode_png
from imaging.wells import PLATE_SHAPES, Well


def row(well: str, verdict: str | None, control: str | None = None) -> dict[str, Any]:
    return {"well": well, "verdict": verdict, "control": control}


def plate(shape: tuple[int, int]) -> list[dict[str, Any]]:
    names = [str(Well(r, c)) for r in range(shape[0]) for c in range(1, shape[1] + 1)]
    verdicts = ("pass", "warn", "fail", None)
    return [row(name, verdicts[n % 4], ("negcon", "poscon", "empty", None)[n % 5 % 4]) for n, name in enumerate(names)]


def well_of(picture: np.ndarray, place: tuple[int, int], columns: int, cell: int) -> np.ndarray:
    """Pixels of a well by row and column, counted from 0."""
    left = (picture.shape[1] - columns * cell) // 2
    y, x = 26 + place[0] * cell, left + place[1] * cell
    return picture[y : y + cell, x : x + cell]


def colours_of(pixels: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(color) for color in pixels.reshape(-1, 3).tolist()}


def test_wells_have_the_colours_of_their_verdicts() -> None:
    wells = [row("A01", "pass"), row("A03", "warn"), row("B01", "fail"), row("B02", None)]
    picture = draw_verdicts(wells, (2, 3))
    for place, verdict in (((0, 0), "pass"), ((0, 2), "warn"), ((1, 0), "fail"), ((1, 1), "waiting")):
        assert tuple(well_of(picture, place, 3, 56)[12, 12]) == VERDICT_COLORS[verdict], place
    assert tuple(well_of(picture, (0, 1), 3, 56)[12, 12]) == GROUND


def test_verdicts_and_controls_have_signs_beside_their_colours() -> None:
    wells = [row("A01", "pass"), row("A02", "warn"), row("A03", "fail"), row("B01", "pass", "negcon")]
    picture = draw_verdicts([*wells, row("B02", "pass", "poscon"), row("B03", None, "empty")], (2, 3))
    passing, warning, failing, negative, positive, empty = (
        well_of(picture, place, 3, 56) for place in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2))
    )
    assert colours_of(passing[10:46, 10:46]) == {VERDICT_COLORS["pass"]}
    assert INK in colours_of(warning[10:46, 10:46])
    assert (255, 255, 255) in colours_of(failing[10:46, 10:46])
    assert INK not in colours_of(passing)
    for control in (negative, positive, empty):
        assert tuple(control[28, 4]) == INK  # the frame
    assert not np.array_equal(negative, positive)
    assert not np.array_equal(failing[10:46, 10:46], positive[10:46, 10:46])


def test_a_sample_has_no_frame_and_the_legend_counts_wells() -> None:
    few, many = (draw_verdicts([row(f"A0{n}", "pass") for n in range(1, last)], (2, 3)) for last in (2, 4))
    assert tuple(well_of(few, (0, 0), 3, 56)[28, 4]) == VERDICT_COLORS["pass"]
    assert not np.array_equal(few[-60:], many[-60:])


@pytest.mark.parametrize("shape", PLATE_SHAPES.values())
def test_the_picture_of_any_plate_is_readable_small_and_the_same_again(shape: tuple[int, int]) -> None:
    picture = draw_verdicts(plate(shape), shape)
    data = encode_png(picture)
    assert len(data) * 4 / 3 < 90_000
    assert max(picture.shape) <= 1100
    assert data == encode_png(draw_verdicts(plate(shape), shape))
    cell = min(56, max(18, 960 // shape[1]))
    for place in ((0, 0), (shape[0] - 1, shape[1] - 1)):
        assert len(colours_of(well_of(picture, place, shape[1], cell))) > 1
    labels = picture[26:, : (picture.shape[1] - shape[1] * cell) // 2]
    assert (labels != 255).any()


@pytest.mark.parametrize(("cell", "step"), [(18, 1), (15, 1), (14.9, 2), (7, 4), (1, 8)])
def test_labels_of_small_cells_leave_room_for_each_other(cell: float, step: int) -> None:
    assert label_step(cell) == step


def noisy_atlas(shape: tuple[int, int], *, rows: int) -> LiveAtlas:
    atlas = LiveAtlas(shape=shape, sites=(1,), channels={"DNA": "0000FF", "ER": "00FF00"})
    noise = np.random.default_rng(3).integers(0, 4000, (2, 80, 80)).astype(np.uint16)
    for r in range(rows):
        for c in range(1, shape[1] + 1):
            atlas.add(str(Well(r, c)), 1, {"DNA": noise[0], "ER": np.roll(noise[1], r + c)})
    return atlas


def test_the_overview_has_labels_and_shows_which_wells_have_a_picture() -> None:
    atlas = LiveAtlas(shape=(2, 3), sites=(1,), channels={"DNA": "0000FF"})
    atlas.add("A01", 1, {"DNA": np.full((8, 8), 100, np.uint16)})
    atlas.add("A02", 1, {"DNA": np.full((8, 8), 200, np.uint16)})
    picture = np.asarray(Image.open(io.BytesIO(draw_overview(atlas, max_bytes=70_000)))).astype(int)
    assert picture.shape == (2 * 160 + 26, 3 * 160 + 26, 3)
    assert np.abs(picture[26 + 80, 26 + 240] - (0, 0, 255)).max() < 12
    assert picture[26 + 80, 26 + 80].max() < 12
    assert np.abs(picture[26 + 240, 26 + 80] - NO_PICTURE).max() < 12
    assert (picture[:26, 26:] < 128).any()
    assert (picture[26:, :26] < 128).any()


def test_the_overview_becomes_coarser_and_smaller_until_it_fits() -> None:
    atlas = noisy_atlas((8, 12), rows=8)
    sizes = [1_000_000, 150_000, 40_000, 25_000]
    found = [draw_overview(atlas, max_bytes=size) for size in sizes]
    assert [len(data) <= size for data, size in zip(found, sizes, strict=True)] == [True] * 4
    widths = [Image.open(io.BytesIO(data)).width for data in found]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] == 1226
    assert widths[-1] < 700
    assert len(draw_overview(atlas, max_bytes=1)) < 40_000
