"""Image metrics as a table: its columns, NULL with a reason, files that appear whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow.csv
import pyarrow.parquet
import pytest

from imaging import measure_images
from imaging.errors import ConfigurationError, UnreadableImageError
from imaging.image_sets import ImageSet, ImageSets
from imaging.measure_images import (
    Unmeasured,
    WrittenMetrics,
    measure_image_sets,
    metric_column,
    metrics_table,
    write_image_metrics,
)
from imaging.recipes import NUMBERS_VERSION
from kernels.gpu import Gpu
from kernels.image_quality import describe_image_metrics, explain_missing, measure_image_quality
from tests.imaging.small_images import planes
from tests.python_process import run_python

METRICS = [metric.name for metric in describe_image_metrics()]
DNA, RNA = planes()
TINY = np.array([[5, 5], [5, 9]], np.uint8)


def images_of(*sets: dict[str, np.ndarray | str]) -> ImageSets:
    """Image sets of planes in memory; a text is why an image cannot be read."""

    def reader(one: dict[str, np.ndarray | str]) -> Callable[[str], np.ndarray]:
        def read(channel: str) -> np.ndarray:
            plane = one[channel]
            if isinstance(plane, str):
                raise UnreadableImageError(plane, key="x.tif")
            return plane

        return read

    named = [(f"s{number}", one) for number, one in enumerate(sets, start=1)]
    return ImageSets(
        ("DNA", "RNA"),
        tuple(
            ImageSet(name, {channel: f"{name}_{channel}.tif" for channel in one}, reader(one)) for name, one in named
        ),
    )


@pytest.mark.parametrize(
    ("metric", "column"),
    [
        ("FocusScore", "ImageQuality_FocusScore_DNA"),
        ("LocalFocusScore_20", "ImageQuality_LocalFocusScore_DNA_20"),
        ("ThresholdOtsu_2W", "ImageQuality_ThresholdOtsu_DNA_2W"),
    ],
)
def test_columns_have_the_names_that_cellprofiler_gives_them(metric: str, column: str) -> None:
    assert metric_column(metric, "DNA") == column


def test_columns_come_channel_by_channel_in_the_order_given() -> None:
    names = measure_image_sets(images_of({"DNA": DNA})).column_names
    assert names[:8] == [
        "ImageNumber",
        "Metadata_ImageSet",
        "FileName_DNA",
        "FileName_RNA",
        "Height_DNA",
        "Width_DNA",
        "Height_RNA",
        "Width_RNA",
    ]
    assert names[8:-1] == [metric_column(metric, channel) for channel in ("DNA", "RNA") for metric in METRICS]
    assert names[-1] == "not_measured"
    assert len({name.lower() for name in names}) == len(names)


def test_values_are_those_of_the_kernel() -> None:
    (row,) = measure_image_sets(images_of({"DNA": DNA, "RNA": RNA})).to_pylist()
    for channel, plane in (("DNA", DNA), ("RNA", RNA)):
        for metric, values in measure_image_quality(plane[None], full_scale=65535).items():
            assert row[metric_column(metric, channel)] == values[0]
    assert (row["ImageNumber"], row["Metadata_ImageSet"], row["FileName_RNA"]) == (1, "s1", "s1_RNA.tif")
    assert (row["Height_DNA"], row["Width_DNA"]) == DNA.shape
    assert row["not_measured"] == []


@pytest.mark.parametrize(("plane", "full_scale", "percent"), [(TINY, 9, 25), (TINY, None, 0), (DNA, 1, 100)])
def test_pixels_are_saturated_at_the_full_scale(plane: np.ndarray, full_scale: int | None, percent: float) -> None:
    (row,) = measure_image_sets(images_of({"DNA": plane}), full_scale=full_scale).to_pylist()
    assert row["ImageQuality_PercentSaturated_DNA"] == percent


def test_pixels_are_divided_by_the_full_scale() -> None:
    plane = np.array([[0, 4095]], np.uint16)
    (row,) = measure_image_sets(images_of({"DNA": plane}), full_scale=4095).to_pylist()
    assert (row["ImageQuality_MaxIntensity_DNA"], row["ImageQuality_MeanIntensity_DNA"]) == (1.0, 0.5)


def test_each_image_has_the_full_scale_of_its_own_type() -> None:
    (row,) = measure_image_sets(images_of({"DNA": TINY, "RNA": TINY.astype(np.uint16)})).to_pylist()
    assert row["ImageQuality_MaxIntensity_DNA"] == 9 / 255
    assert row["ImageQuality_MaxIntensity_RNA"] == 9 / 65535


def test_images_of_8_bits_can_be_divided_by_more_than_their_type_holds() -> None:
    (row,) = measure_image_sets(images_of({"DNA": TINY, "RNA": RNA}), full_scale=4095).to_pylist()
    assert (row["ImageQuality_MaxIntensity_DNA"], row["ImageQuality_Scaling_DNA"]) == (9 / 4095, 4095)
    assert row["ImageQuality_PercentSaturated_DNA"] == 0


def test_what_is_missing_or_unreadable_is_null_with_its_reason_and_the_rest_is_measured() -> None:
    table = measure_image_sets(images_of({"DNA": DNA, "RNA": "it is cut off"}, {"RNA": RNA}, {"DNA": DNA, "RNA": RNA}))
    cut, lacking, whole = table.to_pylist()
    assert cut["not_measured"] == ["RNA: it is cut off"]
    assert lacking["not_measured"] == ["DNA: the image set has no file of this channel"]
    for row, channel in ((cut, "RNA"), (lacking, "DNA")):
        empty = [name for name, value in row.items() if value is None]
        assert empty == [
            *([] if channel == "RNA" else ["FileName_DNA"]),
            *(name for name in table.column_names if name in (f"Height_{channel}", f"Width_{channel}")),
            *(metric_column(metric, channel) for metric in METRICS),
        ]
    assert cut["FileName_RNA"] == "s1_RNA.tif"
    assert None not in whole.values()


def test_a_metric_without_a_value_is_null_and_says_why() -> None:
    (row,) = measure_image_sets(images_of({"DNA": TINY, "RNA": RNA})).to_pylist()
    unknown = [metric for metric in METRICS if row[metric_column(metric, "DNA")] is None]
    assert "EmptyImage" in unknown
    assert row["not_measured"] == [f"DNA {explain_missing(metric, (2, 2))}" for metric in unknown]


def test_planes_go_to_the_device_of_the_process(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    images = images_of({"DNA": DNA[:9, :12], "RNA": RNA[:8, :5].astype(np.uint8)})
    (on_cpu,) = measure_image_sets(images).to_pylist()
    moved: list[tuple[int, ...]] = []

    def put(planes: np.ndarray) -> Any:
        moved.append(planes.shape)
        return gpu.put(planes)

    monkeypatch.setattr(measure_images, "to_device", put)
    (on_gpu,) = measure_image_sets(images).to_pylist()
    assert moved == [(1, 9, 12), (1, 8, 5)]
    assert on_gpu == on_cpu


def test_columns_tell_their_unit_and_what_they_hold(tmp_path: Path) -> None:
    write_image_metrics(images_of({"DNA": DNA}), tmp_path / "m.parquet")
    schema = pyarrow.parquet.read_schema(tmp_path / "m.parquet")
    column = schema.field("ImageQuality_TotalArea_DNA")
    assert column.metadata[b"unit"] == b"px"
    assert column.metadata[b"description"] == b"Number of pixels."
    assert schema.field("ImageQuality_FocusScore_DNA").metadata[b"unit"] == b""
    assert schema.metadata[b"numbers_version"] == str(NUMBERS_VERSION).encode()
    assert all(column.description for column in metrics_table(("DNA",)).columns)


def test_rows_are_written_as_they_come_and_read_by_other_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_images, "_SETS_AT_ONCE", 2)
    images = images_of(
        {"DNA": DNA, "RNA": RNA}, {"DNA": RNA}, {"DNA": "it is cut", "RNA": DNA}, {"RNA": RNA}, {"DNA": DNA}
    )
    done: list[int] = []
    written = write_image_metrics(images, tmp_path / "m.parquet", on_set=done.append)
    assert written == WrittenMetrics(5, 7, (Unmeasured("s3", "DNA", "s3_DNA.tif", "it is cut"),))
    assert done == [1, 2, 3, 4, 5]
    file = pyarrow.parquet.ParquetFile(tmp_path / "m.parquet")
    assert file.num_row_groups == 3
    assert file.read().to_pylist() == measure_image_sets(images).to_pylist()
    frame = pandas.read_parquet(tmp_path / "m.parquet")
    assert list(frame["ImageNumber"]) == [1, 2, 3, 4, 5]
    assert list(frame["ImageQuality_MeanIntensity_DNA"].isna()) == [False, False, True, True, False]


def test_csv_has_the_same_values_empty_for_null_and_reasons_as_text(tmp_path: Path) -> None:
    images = images_of({"DNA": DNA, "RNA": "it is cut"}, {})
    write_image_metrics(images, tmp_path / "m.csv")
    as_text = pyarrow.csv.ConvertOptions(strings_can_be_null=True)
    rows = pyarrow.csv.read_csv(tmp_path / "m.csv", convert_options=as_text).to_pylist()
    expected = measure_image_sets(images).to_pylist()
    assert rows[0] == expected[0] | {"not_measured": "RNA: it is cut"}
    assert (tmp_path / "m.csv").read_text().splitlines()[1].startswith('1,"s1",')
    assert rows[1]["not_measured"] == (
        "DNA: the image set has no file of this channel; RNA: the image set has no file of this channel"
    )


@pytest.mark.parametrize("name", ["m.parquet", "m.csv"])
def test_no_set_gives_a_table_without_rows(name: str, tmp_path: Path) -> None:
    assert write_image_metrics(images_of(), tmp_path / name) == WrittenMetrics(0, 0, ())
    assert len(pandas.read_csv(tmp_path / name) if name == "m.csv" else pandas.read_parquet(tmp_path / name)) == 0


def test_a_file_that_is_there_is_replaced_also_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.parquet").write_bytes(b"old")
    (tmp_path / "m.parquet").symlink_to(tmp_path / "real.parquet")
    write_image_metrics(images_of({"DNA": DNA}), tmp_path / "m.parquet")
    assert pyarrow.parquet.read_metadata(tmp_path / "real.parquet").num_rows == 1
    assert (tmp_path / "m.parquet").is_symlink()
    assert len(list(tmp_path.iterdir())) == 2


def test_an_interrupted_run_leaves_what_was_there(tmp_path: Path) -> None:
    def interrupt(number: int) -> None:
        raise KeyboardInterrupt

    (tmp_path / "m.parquet").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_image_metrics(images_of({"DNA": DNA}), tmp_path / "m.parquet", on_set=interrupt)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("m.parquet", b"old")]


@pytest.mark.parametrize("name", ["m.parquet", "m.csv"])
def test_a_disk_without_room_is_a_sentence_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    # in a process of its own: the limit would also hold for what the test runner writes
    said = run_python(f"""
        import resource
        from pathlib import Path
        from imaging.errors import StoreUnavailableError
        from imaging.measure_images import write_image_metrics
        from tests.imaging.test_measure_images import DNA, RNA, images_of

        write_image_metrics(images_of(dict(DNA=DNA, RNA=RNA)), Path({str(tmp_path / "warm.csv")!r}))
        Path({str(tmp_path / "warm.csv")!r}).unlink()
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))
        try:
            write_image_metrics(images_of(*[dict(DNA=DNA, RNA=RNA)] * 20), Path({str(tmp_path / name)!r}))
        except StoreUnavailableError as error:
            print(error)
    """).stdout
    assert re.search(f"{name} cannot be written: .*; make room, or choose another --out", said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("m.txt", "must end in .parquet or .csv"),
        ("m", "must end in .parquet or .csv"),
        ("folder.csv", "is a folder; give a file to write"),
        ("far/m.csv", "to write m.csv into; make it first"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_measured(
    name: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "folder.csv").mkdir()
    done: list[int] = []
    with pytest.raises(ConfigurationError, match=words):
        write_image_metrics(images_of({"DNA": DNA}), tmp_path / name, on_set=done.append)
    assert done == []
