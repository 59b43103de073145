"""Pictures of hits beside negative controls: the right wells, one contrast per plate, whatever is missing."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from imaging.analyses.gallery import HitGallery, Pictures, WellPictures, build_gallery
from imaging.job import PlateJob
from tests.imaging.small_experiment import CHANNELS, PLATES, draw_well, hits, wells

GREY = (("DNA", "#0000ff"), ("Phase", "#808080"))
WELLS = pd.DataFrame(
    [
        ("P1", "A01", "DMSO", None, "negcon"),
        ("P1", "A02", "DMSO", None, "negcon"),
        ("P1", "H12", "DMSO", None, "negcon"),
        ("P1", "B02", "drug", 1.0, "trt"),
        ("P2", "B02", "drug", 1.0, "trt"),
        ("P2", "C10", "drug", 3.0, "trt"),
        ("P2", "C09", "drug", 3.0, "trt"),
        ("P2", "A01", "DMSO", None, "negcon"),
    ],
    columns=["plate", "well", "treatment", "concentration", "control"],
)
HITS = pd.DataFrame({"treatment": "drug", "concentration": [1.0, 3.0, 9.0], "is_hit": [True, True, False]})


def flat(level: int) -> Pictures:
    picture = np.full((8, 8), 100, np.uint16)
    picture[:4] = level
    return {"DNA": picture, "Phase": picture}


def read_flat(plate: str, well: str) -> Pictures | None:
    return flat(1000 if well == "B02" else 200)


def blue_of(gallery: HitGallery, file: str) -> int:
    """Blue of the upper half of a picture."""
    return int(np.asarray(Image.open(io.BytesIO(gallery.files[file])).convert("RGB"))[1, 4, 2])


def test_a_hit_stands_beside_controls_of_its_own_plate_its_first_replicate_first() -> None:
    gallery = build_gallery(HITS, WELLS, read_flat, channels=GREY)
    places = [(hit.concentration, hit.plate, hit.tile.well) for hit in gallery.hits]
    assert places == [(1.0, "P1", "B02"), (3.0, "P2", "C09")]
    assert [tile.well for tile in gallery.hits[0].controls] == ["A01", "A02"]
    assert [tile.well for tile in gallery.hits[1].controls] == ["A01"]
    assert gallery.channels == (("DNA", "#0000ff"),)  # transmitted light would wash out the colours


def test_all_pictures_of_a_plate_have_one_contrast() -> None:
    gallery = build_gallery(HITS, WELLS, read_flat, channels=GREY)
    hit = gallery.hits[0]
    assert hit.contrast == (("DNA", 100, 1000),)
    assert blue_of(gallery, hit.tile.file) == pytest.approx(255, abs=6)
    assert blue_of(gallery, hit.controls[0].file) == pytest.approx(255 * 100 / 900, abs=6)


def test_what_has_no_picture_gives_way_to_the_next_that_has_one() -> None:
    def read(plate: str, well: str) -> Pictures | None:
        return None if (plate, well) in {("P1", "B02"), ("P2", "A01"), ("P2", "C09")} else read_flat(plate, well)

    gallery = build_gallery(HITS, WELLS, read, channels=GREY)
    assert [(hit.plate, hit.tile.well) for hit in gallery.hits] == [("P2", "B02"), ("P2", "C10")]
    assert gallery.hits[0].controls == ()
    assert build_gallery(HITS, WELLS, lambda plate, well: None, channels=GREY).hits == ()
    assert (
        build_gallery(HITS, WELLS, lambda plate, well: {"Other": np.zeros((4, 4), np.uint8)}, channels=GREY).hits == ()
    )


def test_without_channels_or_hits_there_is_no_picture() -> None:
    assert build_gallery(HITS, WELLS, read_flat, channels=()).files == {}
    assert build_gallery(HITS[2:], WELLS, read_flat, channels=GREY).hits == ()


def test_only_the_best_hits_are_drawn_small_and_the_same_each_time() -> None:
    gallery = build_gallery(hits(), wells(), draw_well, channels=CHANNELS, most=5, tile_px=60)
    assert len(gallery.hits) == 5
    assert all(max(Image.open(io.BytesIO(data)).size) == 60 for data in gallery.files.values())
    shuffled = build_gallery(hits().iloc[::-1], wells().iloc[::-1], draw_well, channels=CHANNELS, most=5, tile_px=60)
    assert (shuffled.hits, shuffled.files) == (gallery.hits, gallery.files)
    assert {hit.plate for hit in gallery.hits} <= set(PLATES)


def test_pictures_are_read_from_the_publication_of_a_plate(job: PlateJob) -> None:
    read = WellPictures(lambda plate: job if plate == job.plate else None)
    published = job.survey().sites[0].well
    picture = read(job.plate, published)
    assert picture is not None
    assert set(picture) <= {channel.name for channel in job.experiment.channels}
    assert all(plane.ndim == 2 for plane in picture.values())
    assert read(job.plate, "H12") is None
    assert read("another", published) is None


def test_a_plate_whose_pixels_are_gone_or_that_is_not_published_has_no_picture(job: PlateJob) -> None:
    well = job.survey().sites[0].well
    for item in job.store.list(job.zarr).objects:
        job.store.delete(item.key)
    assert WellPictures(lambda plate: job)(job.plate, well) is None
    for item in job.store.list(f"{job.prefix}publications/").objects:
        job.store.delete(item.key)
    assert WellPictures(lambda plate: job)(job.plate, well) is None
