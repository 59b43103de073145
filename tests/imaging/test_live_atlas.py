"""The overview of a plate that is being imaged, against the published one."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imaging.atlas import build_atlas, build_pictures
from imaging.live_atlas import LiveAtlas
from imaging.overview import OverviewGrid, fit_inside, make_grid

COLORS = {"DNA": "0000FF", "ER": "00FF00"}


def noise(seed: int, height: int = 64, width: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2.0, 300.0, (height, width)).astype(np.uint16)


def flat(value: int, height: int = 8, width: int = 8) -> np.ndarray:
    return np.full((height, width), value, np.uint16)


def atlas_of(shape: tuple[int, int] = (2, 2), sites: tuple[int, ...] = (1, 2), **colors: str) -> LiveAtlas:
    return LiveAtlas(shape=shape, sites=sites, channels=colors or COLORS)


def plate() -> list[tuple[str, int, dict[str, np.ndarray]]]:
    places = [("B02", 1), ("A01", 2), ("A01", 1), ("B01", 2)]
    return [(well, site, {"DNA": noise(n), "ER": noise(n + 10)}) for n, (well, site) in enumerate(places)]


def overview(atlas: LiveAtlas, channel: int = 0) -> np.ndarray:
    pictures = atlas.draw(quality=100)
    data = pictures.files[pictures.layout.channels[channel].file]
    return np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(int)


def test_limits_of_all_sites_are_those_of_the_published_atlas() -> None:
    atlas = atlas_of()
    for well, site, pictures in plate():
        atlas.add(well, site, pictures)
    published = build_pictures(plate, shape=(2, 2), sites=[1, 2], channels=list(COLORS)).layout
    assert atlas.limits == {item.channel: (item.low, item.high) for item in published.channels}
    live = atlas.draw().layout
    assert [(item.channel, item.low, item.high) for item in live.channels] == [
        (item.channel, item.low, item.high) for item in published.channels
    ]
    assert (live.rows, live.columns, live.tile_px) == (published.rows, published.columns, published.tile_px)
    assert (live.sheets.files, live.sheets.sites) == ((), (1, 2))


def test_each_site_lies_where_the_published_atlas_has_it() -> None:
    places = [("A01", 1, 0), ("A01", 2, 60), ("B02", 1, 120), ("B01", 2, 255)]
    sites = [(well, site, {"DNA": flat(value), "ER": flat(255 - value)}) for well, site, value in places]
    atlas = atlas_of()
    for site in sites:
        atlas.add(*site)
    expected = build_atlas(lambda: sites, shape=(2, 2), sites=[1, 2], channels=list(COLORS), tile_px=160)
    for number, channel in enumerate(COLORS):
        assert np.abs(overview(atlas, number) - expected[channel].image).max() <= 12


def test_the_contrast_follows_the_sites_that_came() -> None:
    atlas = atlas_of(sites=(1,), DNA="0000FF")
    assert atlas.limits == {"DNA": (0, 1)}
    atlas.add("A01", 1, {"DNA": flat(100)})
    assert atlas.limits == {"DNA": (100, 101)}
    atlas.add("A02", 1, {"DNA": flat(300), "other": flat(9)})
    assert atlas.limits == {"DNA": (100, 300)}
    assert overview(atlas)[80, 240] > 250
    atlas.add("B02", 1, {"DNA": flat(500)})
    assert overview(atlas)[80, 240] == pytest.approx(128, abs=3)
    assert atlas.wells == {"A01", "A02", "B02"}


def test_a_site_that_is_measured_again_counts_once_and_a_channel_it_lacks_is_black() -> None:
    atlas, calm = atlas_of(), atlas_of()
    first, second = {"DNA": flat(9000), "ER": flat(500)}, {"DNA": flat(200)}
    for each in (atlas, calm):
        each.add("B01", 1, {"DNA": flat(100), "ER": flat(100)})
    atlas.add("A01", 1, first)
    atlas.add("A01", 1, second, instead_of=first)
    calm.add("A01", 1, second)
    assert atlas.draw().files == calm.draw().files
    assert atlas.limits == {"DNA": (100, 200), "ER": (100, 101)}
    assert overview(atlas, 1)[:160, :160].max() < 3


@pytest.mark.parametrize(
    ("well", "site", "pictures", "message"),
    [
        ("C01", 1, {"DNA": flat(1)}, "2 rows and 2 columns, got C01"),
        ("A01", 3, {"DNA": flat(1)}, r"among \[1, 2\], got site 3"),
        ("A01", 1, {"DNA": flat(1), "ER": np.ones((2, 2), np.float32)}, r"got \(2, 2\) float32"),
    ],
)
def test_what_is_no_site_of_the_plate_is_refused_and_leaves_nothing(
    well: str, site: int, pictures: dict[str, Any], message: str
) -> None:
    atlas = atlas_of()
    with pytest.raises(ValueError, match=message):
        atlas.add(well, site, pictures)
    assert (atlas.draw().files, atlas.wells) == (atlas_of().draw().files, set())


def test_the_composite_is_the_plate_in_its_colours() -> None:
    atlas = atlas_of(sites=(1,), DNA="0000FF", ER="00FF00", BF="FFFFFF")
    atlas.add("A01", 1, {"DNA": flat(0), "ER": flat(0), "BF": flat(7)})
    atlas.add("A02", 1, {"DNA": flat(100), "ER": flat(0), "BF": flat(0)})
    atlas.add("B01", 1, {"DNA": flat(100), "ER": flat(100), "BF": flat(7)})
    picture = atlas.composite(max_side_px=4000)
    assert picture.shape == (320, 320, 3)
    corners = [picture[y, x].tolist() for y, x in ((80, 80), (80, 240), (240, 80), (240, 240))]
    assert corners == [[0, 0, 0], [0, 0, 255], [0, 255, 255], [0, 0, 0]]
    small = atlas.composite(max_side_px=20)
    assert small.shape == (20, 20, 3)
    assert small[5, 15].tolist() == [0, 0, 255]


@pytest.mark.parametrize(("shape", "tile"), [((8, 12), 160), ((16, 24), 80), ((32, 48), 40)])
def test_larger_plates_have_smaller_tiles(shape: tuple[int, int], tile: int) -> None:
    assert atlas_of(shape=shape).grid.tile_px == tile


def test_the_memory_of_the_largest_plate_is_bounded() -> None:
    atlas = atlas_of(shape=(32, 48), sites=(1,), **{f"C{n}": "00FF00" for n in range(6)})
    assert sum(array.nbytes for array in (*atlas._tiles.values(), *atlas._histograms.values())) < 35_000_000


def test_a_picture_lies_in_the_middle_of_its_box_with_its_proportions() -> None:
    assert fit_inside((8, 8), (4, 8)) == (slice(2, 6), slice(0, 8))
    assert fit_inside((8, 8), (100, 25)) == (slice(0, 8), slice(3, 5))
    assert fit_inside((8, 8), (1000, 1)) == (slice(0, 8), slice(3, 4))


def test_boxes_of_a_grid_are_disjoint_and_inside_the_tile() -> None:
    grid = make_grid((2, 3), (1, 2, 3), 31)
    assert grid == OverviewGrid(2, 3, (1, 2, 3), 31)
    seen = np.zeros(grid.shape_px, int)
    for well in ("A01", "A02", "A03", "B01", "B02", "B03"):
        for site in grid.sites:
            seen[grid.box(well, site)] += 1
    assert seen.max() == 1
    assert seen.sum() == 6 * 3 * 15 * 15
    assert grid.box("B03", 3) == (slice(46, 61), slice(62, 77))
