"""Plate pictures: where tiles lie, what grey they have, and that large plates still fit into few files."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from PIL import Image

from imaging import atlas
from imaging.atlas import Thumbnails, build_atlas, build_pictures, plan_sheets
from imaging.wells import Well

Site = tuple[str, int, dict[str, np.ndarray]]


def flat(value: int, height: int = 8, width: int = 8) -> np.ndarray:
    return np.full((height, width), value, np.uint16)


def half(low: int, high: int) -> np.ndarray:
    return np.repeat(np.array([[low], [high]], np.uint16), 4, axis=0).repeat(8, axis=1)


def given(*sites: Site) -> Thumbnails:
    return lambda: iter(sites)


def read_webp(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(int)


def test_a_picture_is_linear_between_plate_wide_limits() -> None:
    thumbnails = given(
        ("A01", 1, {"DNA": half(100, 300)}), ("A02", 1, {"DNA": flat(200)}), ("B01", 1, {"DNA": flat(150)})
    )
    picture = build_atlas(thumbnails, shape=(2, 2), sites=[1], channels=["DNA"], tile_px=8)["DNA"]
    assert (picture.low, picture.high) == (100, 300)
    assert set(picture.image[:4, :8].ravel()) == {0}
    assert set(picture.image[4:8, :8].ravel()) == {255}
    assert set(picture.image[:8, 8:].ravel()) == {128}
    assert set(picture.image[8:, :8].ravel()) == {64}


def test_few_odd_pixels_do_not_set_the_limits() -> None:
    pixels = np.arange(1000, dtype=np.uint16)
    pixels[-1], pixels[0] = 65535, 0
    picture = build_atlas(
        given(("A01", 1, {"DNA": pixels.reshape(25, 40)})), shape=(1, 1), sites=[1], channels=["DNA"]
    )["DNA"]
    assert (picture.low, picture.high) == (4, 997)


def test_what_has_no_thumbnail_is_black() -> None:
    thumbnails = given(("A01", 1, {"DNA": half(5, 9), "ER": flat(9)}), ("A02", 1, {"ER": flat(3)}))
    pictures = build_atlas(thumbnails, shape=(2, 2), sites=[1], channels=["DNA"], tile_px=8)
    assert list(pictures) == ["DNA"]
    assert pictures["DNA"].image[:8, :8].any()
    assert not pictures["DNA"].image[:, 8:].any()
    assert not pictures["DNA"].image[8:, :].any()


def test_a_channel_without_any_picture_is_black() -> None:
    assert not build_atlas(given(("A01", 1, {})), shape=(1, 1), sites=[1], channels=["DNA"])["DNA"].image.any()


@pytest.mark.parametrize(("site", "top", "left"), [(1, 10, 20), (2, 10, 25), (3, 15, 20), (4, 15, 25)])
def test_sites_lie_row_by_row_inside_their_well(site: int, top: int, left: int) -> None:
    thumbnails = given(("A01", 1, {"DNA": flat(0)}), ("B03", site, {"DNA": flat(9)}))
    image = build_atlas(thumbnails, shape=(2, 3), sites=[1, 2, 3, 4], channels=["DNA"], tile_px=10)["DNA"].image
    assert np.argwhere(image == 255).min(axis=0).tolist() == [top, left]
    assert np.argwhere(image == 255).max(axis=0).tolist() == [top + 4, left + 4]


def test_two_sites_lie_in_the_middle_of_their_well() -> None:
    thumbnails = given(("A01", 7, {"DNA": flat(0)}), ("A01", 9, {"DNA": flat(9)}))
    image = build_atlas(thumbnails, shape=(1, 1), sites=[7, 9], channels=["DNA"], tile_px=8)["DNA"].image
    assert np.argwhere(image == 255).min(axis=0).tolist() == [2, 4]
    assert np.argwhere(image == 255).max(axis=0).tolist() == [5, 7]


def test_a_picture_keeps_its_proportions() -> None:
    thumbnails = given(("A01", 1, {"DNA": flat(0)}), ("A02", 1, {"DNA": flat(9, height=4, width=8)}))
    image = build_atlas(thumbnails, shape=(1, 2), sites=[1], channels=["DNA"], tile_px=8)["DNA"].image
    assert (image[:, 8:] == 255).sum(axis=1).tolist() == [0, 0, 8, 8, 8, 8, 0, 0]


def test_a_tile_shrinks_until_the_plate_fits_into_a_webp() -> None:
    picture = build_atlas(given(), shape=(32, 48), sites=[1], channels=["DNA"], tile_px=500)["DNA"]
    assert picture.tile_px == 16383 // 48
    assert picture.image.shape == (32 * 341, 48 * 341)


@pytest.mark.parametrize(
    ("site", "message"),
    [
        (("C01", 1, {"DNA": flat(1)}), "2 rows and 2 columns, got C01"),
        (("A03", 1, {"DNA": flat(1)}), "2 rows and 2 columns, got A03"),
        (("A02", 5, {"DNA": flat(1)}), r"among \[1, 2\], got site 5 of well A02"),
        (("A01", 1, {"DNA": flat(1)}), "got site 1 of well A01 twice"),
        (("A02", 1, {"DNA": np.ones((2, 2), np.float32)}), r"got \(2, 2\) float32"),
        (("A02", 1, {"DNA": np.ones((1, 2, 2), np.uint8)}), r"got \(1, 2, 2\) uint8"),
    ],
)
def test_what_is_no_thumbnail_of_the_plate_is_refused(site: Site, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_atlas(given(("A01", 1, {"DNA": flat(1)}), site), shape=(2, 2), sites=[1, 2], channels=["DNA"], tile_px=8)


@pytest.mark.parametrize(
    ("n_wells", "n_sites", "n_channels", "expected_px"),
    [(96, 1, 2, 320), (96, 4, 6, 270), (308, 4, 6, 160), (384, 9, 5, 96), (1536, 1, 6, 144), (1536, 4, 6, 64)],
)
def test_sheets_of_any_plate_are_few_and_small_enough(
    n_wells: int, n_sites: int, n_channels: int, expected_px: int
) -> None:
    side = 320 if expected_px == 320 else 270
    wells = [str(Well(i // 48, i % 48 + 1)) for i in range(n_wells)]
    sheets = plan_sheets(wells, sites=range(n_sites), n_channels=n_channels, thumbnail_shape=(side, side))
    tiles = sheets.wells_per_file * n_sites * n_channels
    height = -(-tiles // sheets.across) * sheets.tile_height
    assert (sheets.tile_height, sheets.tile_width) == (expected_px, expected_px)
    assert len(sheets.files) <= 12
    assert tiles * expected_px**2 <= 16_000_000
    assert max(height, sheets.across * sheets.tile_width) < 6000
    assert len(sheets.files) * sheets.wells_per_file >= n_wells


def test_tiles_of_a_sheet_have_the_proportions_of_the_thumbnails() -> None:
    sheets = plan_sheets(["A01"], sites=[1], n_channels=1, thumbnail_shape=(135, 160))
    assert (sheets.tile_height, sheets.tile_width) == (135, 160)
    larger = plan_sheets(["A01"], sites=[1], n_channels=1, thumbnail_shape=(540, 640))
    assert (larger.tile_height, larger.tile_width) == (270, 320)


def plate_of_greys() -> Iterator[Site]:
    """Every site and channel has a grey of its own; A02 lacks a channel, B01 has no second site."""
    for number, (well, site) in enumerate([("A01", 1), ("A01", 2), ("A02", 1), ("A02", 2), ("B01", 1)]):
        pictures = {"DNA": flat(20 * number, 16, 16), "ER": flat(20 * number + 10, 16, 16)}
        yield well, site, pictures if number != 2 else {"ER": pictures["ER"]}


def test_a_sheet_holds_every_tile_where_its_layout_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atlas, "SHEET_MAX_PX", 2 * 4 * 16 * 16)
    pictures = build_pictures(plate_of_greys, shape=(2, 2), sites=[1, 2], channels=["DNA", "ER"])
    sheets = pictures.layout.sheets
    assert [name[:8] for name in sheets.files] == ["sheet-1-", "sheet-2-"]
    assert (sheets.wells, sheets.wells_per_file) == (("A01", "A02", "B01"), 2)
    limits = {channel.channel: (channel.low, channel.high) for channel in pictures.layout.channels}
    images = [read_webp(pictures.files[name]) for name in sheets.files]
    expected = {(well, site): found for well, site, found in plate_of_greys()}
    for w, well in enumerate(sheets.wells):
        for s, site in enumerate(sheets.sites):
            for c, channel in enumerate(("DNA", "ER")):
                tile = (w % 2 * 2 + s) * 2 + c
                top, left = tile // sheets.across * 16, tile % sheets.across * 16
                found = images[w // 2][top + 4 : top + 12, left + 4 : left + 12].mean()
                low, high = limits[channel]
                count = expected.get((well, site), {}).get(channel, flat(low))[0, 0]
                assert found == pytest.approx((count - low) / (high - low) * 255, abs=5), (well, site, channel)


def test_the_order_in_which_sites_come_does_not_matter() -> None:
    backwards = build_pictures(
        lambda: reversed(list(plate_of_greys())), shape=(2, 2), sites=[1, 2], channels=["DNA", "ER"]
    )
    forwards = build_pictures(plate_of_greys, shape=(2, 2), sites=[1, 2], channels=["DNA", "ER"])
    assert (backwards.layout, backwards.files) == (forwards.layout, forwards.files)


def test_a_sheet_is_encoded_as_soon_as_its_last_site_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atlas, "SHEET_MAX_PX", 4 * 16 * 16)
    encoded: list[np.ndarray] = []
    before: list[tuple[str, int]] = []
    encode = atlas.encode_webp

    def note(image: np.ndarray, *, quality: int) -> bytes:
        encoded.append(image)
        return encode(image, quality=quality)

    def watched() -> Iterable[Site]:
        for site in plate_of_greys():
            before.append((site[0], len(encoded)))
            yield site

    monkeypatch.setattr(atlas, "encode_webp", note)
    build_pictures(watched, shape=(2, 2), sites=[1, 2], channels=["DNA", "ER"])
    assert before[5:] == [("A01", 0), ("A01", 0), ("A02", 1), ("A02", 1), ("B01", 2)]


def test_the_overview_file_is_the_overview_of_the_channel() -> None:
    plate = {"shape": (2, 2), "sites": [1, 2], "channels": ["DNA", "ER"]}
    pictures = build_pictures(plate_of_greys, **plate, tile_px=32)
    drawn = build_atlas(plate_of_greys, **plate, tile_px=32)
    assert [channel.channel for channel in pictures.layout.channels] == ["DNA", "ER"]
    for channel in pictures.layout.channels:
        assert np.abs(read_webp(pictures.files[channel.file]) - drawn[channel.channel].image).mean() < 8


def test_other_pictures_have_other_names() -> None:
    def brighter() -> Iterator[Site]:
        for well, site, pictures in plate_of_greys():
            yield well, site, {name: picture + (well == "B01") * 9 for name, picture in pictures.items()}

    plate = {"shape": (2, 2), "sites": [1, 2], "channels": ["DNA", "ER"]}
    before, after = (build_pictures(source, **plate) for source in (plate_of_greys, brighter))
    assert list(before.files) == list(build_pictures(plate_of_greys, **plate).files)
    assert not set(before.files) & set(after.files)


@pytest.mark.parametrize(("shape", "side"), [((2, 2), 160), ((16, 24), 80)])
def test_a_small_plate_has_larger_tiles_in_its_overview(shape: tuple[int, int], side: int) -> None:
    pictures = build_pictures(plate_of_greys, shape=shape, sites=[1, 2], channels=["DNA"])
    assert read_webp(pictures.files[pictures.layout.channels[0].file]).shape == (shape[0] * side, shape[1] * side)
    assert pictures.layout.tile_px == side


def test_a_plate_without_pictures_has_black_overviews_and_no_sheets() -> None:
    pictures = build_pictures(given(), shape=(2, 3), sites=[1], channels=["DNA"])
    assert pictures.layout.sheets.files == ()
    assert not read_webp(pictures.files[pictures.layout.channels[0].file]).any()
