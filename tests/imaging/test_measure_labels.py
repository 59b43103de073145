"""Features of objects as tables: rows, columns, NULL with a reason, bad labels, files that appear whole or not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest

from imaging import measure_labels
from imaging.errors import ConfigurationError, UnreadableImageError
from imaging.image_sets import ImageSet, ImageSets
from imaging.label_sets import LabelSet, LabelSets
from imaging.measure_images import measure_image_sets
from imaging.measure_labels import image_table, measure_label_sets, object_table, write_object_features
from imaging.recipes import NUMBERS_VERSION
from kernels.feature import Feature, FeatureDescription
from kernels.feature_options import FeatureOptions
from kernels.features import ObjectFeatures, SiteFeatures
from tests.imaging.small_images import planes

SHAPES = FeatureOptions(families=("AreaShape",))
DNA, RNA = planes()
NUCLEI = np.zeros(DNA.shape, np.int32)
CELLS = np.zeros_like(NUCLEI)
for number, corner in ((1, 10), (2, 30), (9, 50)):
    NUCLEI[corner : corner + 4, corner : corner + 6] = number
    CELLS[corner - 3 : corner + 7, corner - 3 : corner + 9] = number
PLACE = ["ImageNumber", "Metadata_ImageSet", "ObjectNumber"]

Part = np.ndarray | str


def reader(parts: dict[str, Part]) -> Callable[[str], np.ndarray]:
    def read(name: str) -> np.ndarray:
        part = parts[name]
        if isinstance(part, str):
            raise UnreadableImageError(part, key="x.tif")
        return part

    return read


def images_of(*sets: dict[str, Part], rounded: tuple[str, ...] = ()) -> ImageSets:
    """Image sets of planes in memory; a text is why an image cannot be read."""
    found = [
        ImageSet(f"s{number}", {channel: f"s{number}_{channel}.tif" for channel in one}, reader(one))
        for number, one in enumerate(sets, start=1)
    ]
    return ImageSets(("DNA", "RNA"), tuple(found), rounded=frozenset(rounded))


def labels_of(*sets: dict[str, Part]) -> LabelSets:
    objects = dict.fromkeys(name for one in sets for name in one)
    found = {f"s{number}": LabelSet(dict.fromkeys(one, "l.tif"), reader(one)) for number, one in enumerate(sets, 1)}
    return LabelSets(tuple(objects), found)


WHOLE = images_of({"DNA": DNA, "RNA": RNA})


@pytest.fixture
def brightness(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, np.ndarray]]:
    """A family in the place of the kernels': the mean of each object, NaN of the first, and of each image."""
    noted: list[dict[str, np.ndarray]] = []

    def name(channel: str) -> str:
        return f"Intensity_MeanIntensity_{channel}"

    def describe(channels, sets, options=None) -> list[FeatureDescription]:
        return [
            FeatureDescription(f"{one}_{name(channel)}", "Intensity", one, channel, "1", "Mean.", "", "")
            for one in sets
            for channel in channels
        ]

    def describe_images(channels, options=None) -> list[Feature]:
        return [Feature(name(channel), "Intensity", channel, "1", "Mean.", "", "") for channel in channels]

    def measure(planes, labels, options=None, *, all_labels=None) -> SiteFeatures:
        noted.append(dict(planes))
        objects = {}
        for one, image in labels.items():
            numbers = np.unique(image[image > 0]).astype(np.int32)
            columns = {
                name(channel): np.array([plane[image == number].mean() for number in numbers])
                for channel, plane in planes.items()
            }
            for values in columns.values():
                values[:1] = np.nan
            objects[one] = ObjectFeatures(numbers, columns)
        return SiteFeatures(objects, {name(channel): float(plane.mean()) for channel, plane in planes.items()})

    monkeypatch.setattr(measure_labels, "describe_features", describe)
    monkeypatch.setattr(measure_labels, "describe_image_features", describe_images)
    monkeypatch.setattr(measure_labels, "measure_features", measure)
    return noted


def test_each_object_set_is_a_table_with_a_row_per_number_that_has_pixels() -> None:
    tables = measure_label_sets(WHOLE, labels_of({"Nuclei": NUCLEI, "Cells": CELLS}), SHAPES)
    assert list(tables) == ["Image", "Nuclei", "Cells"]
    assert tables["Nuclei"].column_names[:4] == [*PLACE, "AreaShape_Area"]
    assert tables["Nuclei"]["ObjectNumber"].to_pylist() == [1, 2, 9]
    assert tables["Nuclei"]["AreaShape_Area"].to_pylist() == [24.0] * 3
    assert tables["Cells"]["AreaShape_Area"].to_pylist() == [120.0] * 3
    assert set(tables["Cells"]["Metadata_ImageSet"].to_pylist()) == {"s1"}
    (row,) = tables["Image"].to_pylist()
    assert (row["Count_Nuclei"], row["Count_Cells"], row["not_measured"]) == (3, 3, [])


def test_the_image_table_holds_what_images_alone_give(brightness) -> None:
    images = images_of({"DNA": DNA, "RNA": "it is cut off"}, {"RNA": RNA})
    table = measure_label_sets(images, labels_of({"Nuclei": NUCLEI}, {"Nuclei": CELLS}))["Image"]
    alone = measure_image_sets(images)
    assert table.select(alone.column_names[:-1]).equals(alone.drop_columns("not_measured"))
    assert table.column_names[-4:] == [
        "Count_Nuclei",
        "Intensity_MeanIntensity_DNA",
        "Intensity_MeanIntensity_RNA",
        "not_measured",
    ]
    assert table["Intensity_MeanIntensity_RNA"].to_pylist() == [None, RNA.mean()]
    assert table["not_measured"].to_pylist() == alone["not_measured"].to_pylist()


def test_what_has_no_value_is_null_and_never_nan(brightness) -> None:
    table = measure_label_sets(images_of({"DNA": DNA}), labels_of({"Nuclei": NUCLEI}))["Nuclei"]
    assert table["Intensity_MeanIntensity_DNA"].to_pylist() == [None, DNA[NUCLEI == 2].mean(), DNA[NUCLEI == 9].mean()]
    assert table["Intensity_MeanIntensity_RNA"].to_pylist() == [None] * 3


def test_image_sets_follow_each_other_in_one_table(brightness) -> None:
    images = images_of({"DNA": DNA}, {"DNA": RNA}, {"DNA": DNA})
    tables = measure_label_sets(images, labels_of({"Nuclei": NUCLEI}, {}, {"Nuclei": CELLS, "Cells": CELLS}))
    assert tables["Nuclei"]["ImageNumber"].to_pylist() == [1] * 3 + [3] * 3
    assert tables["Cells"]["Metadata_ImageSet"].to_pylist() == ["s3"] * 3
    assert tables["Image"]["Count_Nuclei"].to_pylist() == [3, None, 3]
    assert tables["Image"]["not_measured"].to_pylist()[1][-2:] == [
        "Nuclei: the image set has no labels of this object set",
        "Cells: the image set has no labels of this object set",
    ]


def test_columns_tell_their_unit_and_what_they_hold(tmp_path: Path) -> None:
    write_object_features(WHOLE, labels_of({"Nuclei": NUCLEI}), tmp_path / "f.parquet", SHAPES)
    schema = pyarrow.parquet.read_schema(tmp_path / "f.Nuclei.parquet")
    area = schema.field("AreaShape_Area")
    assert area.type == "double"
    assert area.metadata[b"unit"].startswith(b"px")
    assert area.metadata[b"description"]
    assert {b"null_when", b"source"} <= set(area.metadata)
    assert schema.metadata[b"numbers_version"] == str(NUMBERS_VERSION).encode()
    for table in (object_table("Nuclei", ("DNA",), SHAPES), image_table(("DNA",), ("Nuclei",), SHAPES)):
        assert all(column.description for column in table.columns)
        assert len({column.name.lower() for column in table.columns}) == len(table.columns)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_files_hold_the_tables(ending: str, tmp_path: Path, brightness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_labels, "_ROWS_AT_ONCE", 4)
    images, labels = images_of(*[{"DNA": DNA}] * 3), labels_of(*[{"Nuclei": NUCLEI}] * 3)
    done: list[int] = []
    written = write_object_features(images, labels, tmp_path / f"f.{ending}", on_set=done.append)
    assert done == [1, 2, 3]
    assert written.rows == {"Image": 3, "Nuclei": 9}
    assert (written.sets, written.images, written.unmeasured) == (3, 3, ())
    assert written.files == {name: tmp_path / f"f.{name}.{ending}" for name in ("Image", "Nuclei")}
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"f.Image.{ending}", f"f.Nuclei.{ending}"]
    read = pyarrow.parquet.read_table if ending == "parquet" else pyarrow.csv.read_csv
    expected = measure_label_sets(images, labels)
    for name in ("ObjectNumber", "Intensity_MeanIntensity_DNA"):
        assert read(written.files["Nuclei"])[name].to_pylist() == expected["Nuclei"][name].to_pylist()
    assert read(written.files["Image"])["Count_Nuclei"].to_pylist() == [3, 3, 3]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_no_objects_give_tables_without_rows_and_with_all_columns(ending: str, tmp_path: Path) -> None:
    labels = labels_of({"Nuclei": np.zeros_like(NUCLEI), "Cells": np.zeros_like(CELLS)})
    written = write_object_features(WHOLE, labels, tmp_path / f"f.{ending}", SHAPES)
    assert written.rows == {"Image": 1, "Nuclei": 0, "Cells": 0}
    read = pyarrow.parquet.read_table if ending == "parquet" else pyarrow.csv.read_csv
    table = read(written.files["Cells"])
    assert table.num_rows == 0
    assert table.column_names == [column.name for column in object_table("Cells", ("DNA", "RNA"), SHAPES).columns]
    assert read(written.files["Image"])["Count_Cells"].to_pylist() == [0]


def test_seventy_thousand_objects_of_a_pixel_are_measured(tmp_path: Path) -> None:
    labels = np.zeros((300, 300), np.int32)
    labels.ravel()[:70_000] = np.random.default_rng(3).permutation(70_000) + 1
    images = images_of({"DNA": planes(1, height=300, width=300)[0]})
    written = write_object_features(images, labels_of({"Spots": labels}), tmp_path / "f.parquet", SHAPES)
    table = pyarrow.parquet.read_table(written.files["Spots"], columns=["ObjectNumber", "AreaShape_Area"])
    assert table["ObjectNumber"].to_pylist() == list(range(1, 70_001))
    assert set(table["AreaShape_Area"].to_pylist()) == {1.0}


def test_great_numbers_cost_no_more_than_small_ones() -> None:
    far = np.where(NUCLEI > 0, NUCLEI + (2**31 - 10), 0).astype(np.int32)
    table = measure_label_sets(WHOLE, labels_of({"Nuclei": far}), SHAPES)["Nuclei"]
    assert table["ObjectNumber"].to_pylist() == [2**31 - 9, 2**31 - 8, 2**31 - 1]


# Bad input


def test_labels_of_another_shape_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "f.Nuclei.parquet").write_bytes(b"old")
    with pytest.raises(ConfigurationError) as caught:
        write_object_features(WHOLE, labels_of({"Nuclei": NUCLEI[:50]}), tmp_path / "f.parquet", SHAPES)
    assert str(caught.value) == (
        "no objects can be measured, so nothing is written\n  - Nuclei of s1: its labels are 50 x 96 pixels (rows x "
        "columns), the images 72 x 96; give the labels of these images, or scale them to the images' size without "
        "interpolation"
    )
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("f.Nuclei.parquet", b"old")]


def test_one_bad_label_image_costs_its_image_set_only(tmp_path: Path, brightness) -> None:
    images = images_of({"DNA": DNA}, {"DNA": DNA})
    labels = labels_of({"Nuclei": NUCLEI, "Cells": "label -1 is the least"}, {"Nuclei": NUCLEI, "Cells": CELLS})
    written = write_object_features(images, labels, tmp_path / "f.parquet")
    assert [(one.image_set, one.channel, one.file, one.reason) for one in written.unmeasured] == [
        ("s1", "Cells", "l.tif", "label -1 is the least")
    ]
    nuclei = pyarrow.parquet.read_table(written.files["Nuclei"])
    assert nuclei["ImageNumber"].to_pylist() == [2] * 3
    first, second = pyarrow.parquet.read_table(written.files["Image"]).to_pylist()
    assert first["not_measured"][-1] == "Cells: label -1 is the least"
    assert (first["Count_Nuclei"], second["Count_Nuclei"]) == (None, 3)
    assert first["Intensity_MeanIntensity_DNA"] == DNA.mean()


def test_a_channel_of_another_shape_is_left_out(brightness) -> None:
    images = images_of({"DNA": DNA[:50], "RNA": RNA})
    tables = measure_label_sets(images, labels_of({"Nuclei": NUCLEI}))
    assert list(brightness[0]) == ["RNA"]
    assert tables["Nuclei"]["Intensity_MeanIntensity_DNA"].null_count == 3
    assert tables["Image"]["not_measured"].to_pylist()[0][-1] == (
        "objects of DNA: its image is 50 x 96 pixels, unlike the others of the image set"
    )


def test_label_images_must_have_one_shape(brightness) -> None:
    images = images_of({"DNA": DNA[:50], "RNA": RNA})
    tables = measure_label_sets(images, labels_of({"Nuclei": NUCLEI, "Cells": CELLS[:50]}))
    assert tables["Nuclei"].num_rows == tables["Cells"].num_rows == 0
    assert "its labels are 50 x 96 pixels" in tables["Image"]["not_measured"].to_pylist()[0][-2]


@pytest.mark.parametrize(("limit", "value"), [("GREATEST_SIDE", 95), ("MOST_PIXELS", DNA.size - 1)])
def test_an_image_that_is_too_large_is_no_image_of_objects(
    limit: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure_labels, limit, value)
    (row,) = measure_label_sets(WHOLE, labels_of({"Nuclei": NUCLEI}), SHAPES)["Image"].to_pylist()
    assert f"objects of RNA: it is {DNA.shape[0]} x 96 pixels (rows x columns)" in row["not_measured"][-2]
    assert row["not_measured"][-1] == "objects: no image of the image set can be measured"
    assert row["Count_Nuclei"] is None


def test_without_a_readable_image_there_are_no_objects(tmp_path: Path) -> None:
    images, labels = images_of({"DNA": "it is cut off"}), labels_of({"Nuclei": NUCLEI})
    (row,) = measure_label_sets(images, labels, SHAPES)["Image"].to_pylist()
    assert row["not_measured"] == [
        "DNA: it is cut off",
        "RNA: the image set has no file of this channel",
        "objects: no image of the image set can be measured",
    ]
    with pytest.raises(ConfigurationError, match="DNA of s1: it is cut off"):
        write_object_features(images, labels, tmp_path / "f.parquet", SHAPES)
    assert list(tmp_path.iterdir()) == []


# The scale of intensities


def test_counts_are_scaled_by_the_full_scale_and_intensities_by_their_own(brightness) -> None:
    plane = np.where(NUCLEI > 0, 4095, 0).astype(np.uint16)
    images = images_of({"DNA": plane, "RNA": plane * 16}, rounded=("RNA",))
    measure_label_sets(images, labels_of({"Nuclei": NUCLEI}), full_scale=4095)
    np.testing.assert_array_equal(brightness[0]["DNA"], np.where(NUCLEI > 0, 65535, 0))
    np.testing.assert_array_equal(brightness[0]["RNA"], plane * 16)


def test_counts_beyond_the_full_scale_leave_out_the_channel(brightness) -> None:
    images = images_of({"DNA": np.full_like(DNA, 5000), "RNA": RNA})
    tables = measure_label_sets(images, labels_of({"Nuclei": NUCLEI}), full_scale=4095)
    assert list(brightness[0]) == ["RNA"]
    assert tables["Image"]["not_measured"].to_pylist()[0][-1] == (
        "objects of DNA: its pixels reach 5,000, beyond the full scale of 4,095; give the camera's --full-scale"
    )
