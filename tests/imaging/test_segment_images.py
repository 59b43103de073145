"""Objects of image sets: found, written, and read back by what measures them; bad images cost their own set only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imaging import segment_images
from imaging.errors import ConfigurationError, UnreadableImageError
from imaging.image_sets import ImageSet, ImageSets
from imaging.label_sets import open_label_sets
from imaging.measure_labels import measure_label_sets
from imaging.segment_images import FLOODS, Segmentation, segment_image_set, segment_planes, write_labels
from kernels.feature_options import FeatureOptions

SHAPES = FeatureOptions(families=("AreaShape",))


def spots(*places: tuple[int, int], radius: int = 9, side: int = 96) -> np.ndarray:
    """Round nuclei on a dim, slightly noisy background."""
    plane = np.random.default_rng(1).integers(180, 220, (side, side)).astype(np.uint16)
    y, x = np.mgrid[:side, :side]
    for row, column in places:
        plane[(y - row) ** 2 + (x - column) ** 2 <= radius**2] += 5000
    return plane


DNA = spots((25, 25), (60, 65), (88, 20))
RNA = spots((25, 25), (60, 65), (88, 20), radius=16)
HOW = Segmentation("DNA", "RNA", (10, 40))


def set_of(name: str, **planes: np.ndarray | str) -> ImageSet:
    def read(channel: str) -> np.ndarray:
        plane = planes[channel]
        if isinstance(plane, str):
            raise UnreadableImageError(plane, key=f"{name}_{channel}.tif")
        return plane

    return ImageSet(name, {channel: f"{name}_{channel}.tif" for channel in planes}, read)


def images_of(*sets: ImageSet) -> ImageSets:
    return ImageSets(("DNA", "RNA"), sets)


def test_nuclei_cells_and_cytoplasm_share_their_numbers() -> None:
    labels = segment_planes(DNA, RNA, HOW)
    assert list(labels) == ["Nuclei", "Cells", "Cytoplasm"]
    assert [int(image.max()) for image in labels.values()] == [3, 3, 3]
    nuclei, cells, cytoplasm = labels.values()
    inside = nuclei > 0
    np.testing.assert_array_equal(nuclei[inside], cells[inside])
    assert np.count_nonzero(cells == 1) > 1.5 * np.count_nonzero(nuclei == 1)
    assert not cytoplasm[inside & (cytoplasm != cells)].any()


def test_without_a_cell_stain_cells_reach_ten_pixels_beyond_their_nucleus() -> None:
    labels = segment_planes(DNA, None, Segmentation("DNA", None, (10, 40)))
    rows = np.flatnonzero((labels["Cells"] == 1).any(axis=1))
    nucleus = np.flatnonzero((labels["Nuclei"] == 1).any(axis=1))
    assert (nucleus[0] - rows[0], rows[-1] - nucleus[-1]) == (10, 10)


def test_nuclei_on_the_border_are_kept_or_dropped() -> None:
    at_border = spots((25, 25), (93, 60))
    assert segment_planes(at_border, None, Segmentation("DNA", None, (8, 40)))["Nuclei"].max() == 2
    dropped = segment_planes(at_border, None, Segmentation("DNA", None, (8, 40), drop_border=True))
    assert [int(image.max()) for image in dropped.values()] == [1, 1, 1]


def test_cells_of_nuclei_on_the_border_are_dropped_after_they_took_their_share() -> None:
    dna, rna = spots((25, 25), (88, 30)), spots((25, 25), (88, 30), radius=40)
    kept = segment_planes(dna, rna, Segmentation("DNA", "RNA", (8, 40)))
    at_border = spots((25, 25), (93, 30))
    dropped = segment_planes(at_border, rna, Segmentation("DNA", "RNA", (8, 40), drop_border=True))
    assert dropped["Cells"].max() == 1
    assert not dropped["Cells"][80:].any()
    assert kept["Cells"][90].any()


def test_floods_agree_on_nuclei_that_stand_alone() -> None:
    orders = [segment_planes(DNA, RNA, Segmentation("DNA", "RNA", (10, 40), flood=flood)) for flood in FLOODS]
    for name, image in orders[0].items():
        assert np.mean(image != orders[1][name]) < 0.02


def test_an_image_too_large_for_a_flood_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_images, "MOST_PIXELS", DNA.size - 1)
    one = set_of("A01", DNA=DNA, RNA=RNA)
    assert segment_image_set(one, HOW)["Nuclei"].any()
    with pytest.raises(UnreadableImageError, match="9,216 pixels and the flood fixpoint takes 9,215"):
        segment_image_set(one, Segmentation("DNA", "RNA", (10, 40), flood="fixpoint"))


def test_an_image_without_nuclei_has_empty_labels() -> None:
    labels = segment_planes(np.full((40, 50), 7, np.uint8), None, HOW)
    assert all(image.shape == (40, 50) and not image.any() for image in labels.values())


@pytest.mark.parametrize("out", ["l.npz", "l"])
def test_labels_are_measured_for_the_images_they_were_found_in(out: str, tmp_path: Path) -> None:
    images = images_of(set_of("A01", DNA=DNA, RNA=RNA), set_of("A02/s1", DNA=spots((40, 40)), RNA=RNA))
    told: list[tuple[str, int]] = []
    on_set = lambda name, counts: told.append((name, counts["Nuclei"]))  # noqa: E731
    written = write_labels(images, HOW, tmp_path / out, on_set=on_set)
    assert told == [("A01", 3), ("A02/s1", 1)]
    assert {name: dict(counts) for name, counts in written.counts.items()} == {
        "A01": {"Nuclei": 3, "Cells": 3, "Cytoplasm": 3},
        "A02/s1": {"Nuclei": 1, "Cells": 1, "Cytoplasm": 1},
    }
    tables = measure_label_sets(images, open_label_sets(tmp_path / out, images), SHAPES)
    for name in ("Nuclei", "Cells", "Cytoplasm"):
        assert tables[name]["Metadata_ImageSet"].to_pylist() == ["A01"] * 3 + ["A02/s1"]
        assert tables[name]["ObjectNumber"].to_pylist() == [1, 2, 3, 1]


def test_a_bad_image_costs_its_own_image_set_only(tmp_path: Path) -> None:
    images = images_of(
        set_of("A01", DNA="it is cut off", RNA=RNA),
        set_of("A02", DNA=DNA),
        set_of("A03", DNA=DNA, RNA=RNA[:40]),
        set_of("A04", DNA=DNA, RNA=RNA),
    )
    written = write_labels(images, HOW, tmp_path / "l.npz")
    assert list(written.counts) == ["A04"]
    assert [(one.image_set, one.reason) for one in written.unmeasured] == [
        ("A01", "it is cut off"),
        ("A02", "the image set has no file of RNA"),
        ("A03", "DNA has shape (96, 96) and RNA (40, 96); channels must fit each other"),
    ]
    assert list(np.load(tmp_path / "l.npz")) == ["A04/Nuclei", "A04/Cells", "A04/Cytoplasm"]
    with pytest.raises(UnreadableImageError, match="no file of RNA"):
        segment_image_set(images.sets[1], HOW)


def test_where_no_image_set_can_be_segmented_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "l.npz").write_bytes(b"old")
    with pytest.raises(ConfigurationError, match="nothing is written\n  - A01: it is cut off"):
        write_labels(images_of(set_of("A01", DNA="it is cut off", RNA=RNA)), HOW, tmp_path / "l.npz")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("l.npz", b"old")]


def test_channels_that_are_not_there_are_refused(tmp_path: Path) -> None:
    images = images_of(set_of("A01", DNA=DNA, RNA=RNA))
    with pytest.raises(ConfigurationError, match="there is no channel ER and no channel AGP; there is DNA, RNA"):
        write_labels(images, Segmentation("ER", "AGP"), tmp_path / "l.npz")
