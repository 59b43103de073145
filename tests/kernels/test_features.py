"""Features of cells: cases computed by hand, then CellProfiler's own values."""

import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from kernels.old_features import COMPARTMENTS, describe_features, measure_objects
from kernels.segmentation import segment_cytoplasm

GOLDEN = Path(__file__).parents[3] / "shared" / "golden" / "sparse_site"
needs_golden = pytest.mark.skipif(
    not GOLDEN.is_dir(), reason="CellProfiler's golden values are not beside the repository"
)


def measure(labels, plane=None, **others):
    planes = {} if plane is None else {"GFP": plane}
    compartments = {"nuclei": labels, "cells": labels, "cytoplasm": np.zeros_like(labels)} | others
    return measure_objects(planes, **compartments)


def shape_of(labels, name, index=0):
    return measure(np.asarray(labels))[f"Nuclei_AreaShape_{name}"][index]


def brightness_of(labels, plane, name, index=0):
    return measure(np.asarray(labels), np.asarray(plane, np.uint8))[f"Nuclei_Intensity_{name}_GFP"][index] * 255


RECTANGLE = np.pad(np.ones((3, 5), np.int32), ((2, 1), (4, 3)))
RING = np.pad(np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.int32), 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Area", 15),
        ("BoundingBoxArea", 15),
        ("BoundingBoxMinimum_X", 4),
        ("BoundingBoxMaximum_X", 9),
        ("BoundingBoxMinimum_Y", 2),
        ("BoundingBoxMaximum_Y", 5),
        ("Center_X", 6),
        ("Center_Y", 3),
        ("EquivalentDiameter", math.sqrt(60 / math.pi)),
        ("Extent", 1),
        ("EulerNumber", 1),
        ("Perimeter", 12),
        ("FormFactor", 4 * math.pi * 15 / 144),
        ("Compactness", 144 / (4 * math.pi * 15)),
        ("MajorAxisLength", 4 * math.sqrt(2)),
        ("MinorAxisLength", 4 * math.sqrt(2 / 3)),
        ("Eccentricity", math.sqrt(1 - (2 / 3) / 2)),
        ("Orientation", 90),
        ("MaximumRadius", 2),
        ("MeanRadius", (12 * 1 + 3 * 2) / 15),
        ("MedianRadius", 1),
    ],
)
def test_rectangle_has_the_form_computed_by_hand(name, value):
    assert abs(shape_of(RECTANGLE, name)) == pytest.approx(value, rel=1e-6)


def test_hole_lowers_the_euler_number_and_pieces_raise_it():
    assert shape_of(RING, "EulerNumber") == 0
    assert shape_of([[1, 0, 1]], "EulerNumber") == 2
    assert shape_of([[1, 0], [0, 1]], "EulerNumber") == 1


def test_touching_objects_do_not_change_each_other():
    alone = np.zeros((9, 14), np.int32)
    alone[2:7, 2:7] = 1
    alone[3, 6] = 0
    both = alone.copy()
    both[2:8, 7:11] = 2
    both[3, 6] = 2
    features, expected = measure(both), measure(alone)
    for name, values in expected.items():
        np.testing.assert_equal(features[name][0], values[0], err_msg=name)


def test_objects_at_the_border_of_the_plane_are_outlined_there():
    assert shape_of(np.ones((3, 5), np.int32), "Perimeter") == 12
    assert shape_of(np.ones((3, 5), np.int32), "MaximumRadius") == 2


def test_single_pixel_has_no_form_factor():
    assert math.isnan(shape_of([[0, 1]], "FormFactor"))
    assert shape_of([[0, 1]], "Compactness") == 0
    assert shape_of([[0, 1]], "Eccentricity") == 0


def test_diagonal_line_points_at_45_degrees():
    assert shape_of(np.eye(5, dtype=np.int32), "Orientation") == pytest.approx(45)
    assert shape_of(np.eye(5, dtype=np.int32)[::-1], "Orientation") == pytest.approx(-45)
    assert shape_of(np.ones((5, 1), np.int32), "Orientation") == 0
    assert shape_of(np.ones((5, 5), np.int32), "Orientation") == pytest.approx(-45)


def test_intensities_are_those_computed_by_hand():
    labels, plane = [[1, 1, 1, 1, 0]], [[10, 20, 40, 90, 200]]
    assert brightness_of(labels, plane, "IntegratedIntensity") == pytest.approx(160)
    assert brightness_of(labels, plane, "MeanIntensity") == pytest.approx(40)
    assert brightness_of(labels, plane, "StdIntensity") == pytest.approx(math.sqrt((900 + 400 + 0 + 2500) / 4))
    assert brightness_of(labels, plane, "MinIntensity") == pytest.approx(10)
    assert brightness_of(labels, plane, "MaxIntensity") == pytest.approx(90)


def test_quartiles_follow_the_index_rule_of_cellprofiler():
    labels, plane = [[1, 1, 1, 1, 1]], [[10, 50, 20, 40, 90]]
    # sorted 10 20 40 50 90; indices 1.25, 2.5, 3.75; distances to 45: 5 5 25 35 45
    assert brightness_of(labels, plane, "LowerQuartileIntensity") == pytest.approx(25)
    assert brightness_of(labels, plane, "MedianIntensity") == pytest.approx(45)
    assert brightness_of(labels, plane, "UpperQuartileIntensity") == pytest.approx(80)
    assert brightness_of(labels, plane, "MADIntensity") == pytest.approx(30)


def test_edge_is_where_another_label_begins_and_not_the_border_of_the_plane():
    labels = [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 2]]
    plane = [[90, 90, 10, 0], [90, 90, 20, 0], [90, 90, 40, 7]]
    assert brightness_of(labels, plane, "IntegratedIntensityEdge") == pytest.approx(70)
    assert brightness_of(labels, plane, "MeanIntensityEdge") == pytest.approx(70 / 3)
    assert brightness_of(labels, plane, "MinIntensityEdge") == pytest.approx(10)
    assert brightness_of(labels, plane, "MaxIntensityEdge") == pytest.approx(40)
    assert brightness_of(labels, plane, "StdIntensityEdge") == pytest.approx(np.std([10, 20, 40]))
    assert brightness_of(labels, plane, "MeanIntensityEdge", index=1) == pytest.approx(7)


def test_object_that_fills_the_plane_has_no_edge_intensity():
    assert math.isnan(brightness_of([[1, 1]], [[3, 4]], "MeanIntensityEdge"))


def test_centre_of_mass_lies_where_the_light_is():
    features = measure(np.ones((2, 3), np.int32), np.array([[0, 0, 30], [0, 0, 10]], np.uint8))
    assert features["Nuclei_Location_CenterMassIntensity_X_GFP"][0] == pytest.approx(2)
    assert features["Nuclei_Location_CenterMassIntensity_Y_GFP"][0] == pytest.approx(0.25)
    assert features["Nuclei_Intensity_MassDisplacement_GFP"][0] == pytest.approx(math.hypot(1, 0.25))


def test_black_object_has_no_centre_of_mass():
    features = measure(np.ones((2, 3), np.int32), np.zeros((2, 3), np.uint8))
    assert math.isnan(features["Nuclei_Location_CenterMassIntensity_X_GFP"][0])
    assert math.isnan(features["Nuclei_Intensity_MassDisplacement_GFP"][0])
    assert features["Nuclei_Intensity_MeanIntensity_GFP"][0] == 0


def test_8_and_16_bits_give_the_same_intensities():
    labels = np.pad(np.ones((5, 5), np.int32), 8)
    plane = np.random.default_rng(0).integers(0, 256, labels.shape).astype(np.uint8)
    narrow, wide = measure(labels, plane), measure(labels, plane.astype(np.uint16) * 257)
    for name, values in narrow.items():
        np.testing.assert_allclose(wide[name], values, rtol=1e-12, err_msg=name)


def test_missing_compartment_is_nan_throughout_and_keeps_its_row():
    nuclei = np.array([[1, 1, 0, 0, 0, 3, 3]])
    cells = np.array([[1, 1, 1, 0, 0, 3, 3]])
    plane = np.full(nuclei.shape, 9, np.uint8)
    features = measure_objects({"GFP": plane}, nuclei=nuclei, cells=cells, cytoplasm=segment_cytoplasm(nuclei, cells))
    assert {values.shape for values in features.values()} == {(3,)}
    for name, values in features.items():
        assert math.isnan(values[1]), name
        if name.startswith("Cytoplasm"):
            assert math.isnan(values[2]), name
    assert features["Cytoplasm_AreaShape_Area"][0] == 1
    assert features["Nuclei_AreaShape_Area"].tolist()[::2] == [2, 2]


def test_site_without_cells_has_every_column_and_no_row():
    empty = np.zeros((6, 7), np.int32)
    features = measure_objects({"GFP": np.zeros((6, 7), np.uint16)}, nuclei=empty, cells=empty, cytoplasm=empty)
    assert list(features) == [feature.name for feature in describe_features(["GFP"])]
    assert all(values.shape == (0,) and values.dtype == np.float64 for values in features.values())


def test_descriptions_name_every_column_in_order():
    labels = np.pad(np.ones((3, 3), np.int32), 3)
    planes = {"DNA": np.ones(labels.shape, np.uint8), "GFP": np.ones(labels.shape, np.uint8)}
    described = describe_features(planes)
    assert [feature.name for feature in described] == list(
        measure_objects(planes, nuclei=labels, cells=labels, cytoplasm=labels)
    )
    assert all(feature.unit and feature.definition for feature in described)
    for feature in described:
        assert feature.name.startswith(f"{feature.objects}_{feature.family}_")
        assert feature.name.endswith(feature.channel)
    assert {feature.objects for feature in described} == set(COMPARTMENTS)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"nuclei": np.zeros((3, 3))}, TypeError, "nuclei must have an integer type, got float64"),
        ({"cells": np.zeros((3, 4), int)}, ValueError, r"cells must have the shape of nuclei, \(3, 3\), got \(3, 4\)"),
        ({"cytoplasm": np.zeros(3, int)}, ValueError, r"cytoplasm must have shape \(y, x\), got \(3,\)"),
        ({"planes": {"GFP": np.zeros((3, 3))}}, TypeError, r"planes\['GFP'\] must be uint8 or uint16, got float64"),
        (
            {"planes": {"GFP": np.zeros((4, 3), np.uint8)}},
            ValueError,
            r"planes\['GFP'\] must have the shape of nuclei, \(3, 3\), got \(4, 3\)",
        ),
        ({"ring_gap_px": -1}, ValueError, "ring_gap_px must be 0 or more, got -1"),
        ({"ring_width_px": 0}, ValueError, "ring_width_px must be above 0, got 0"),
    ],
)
def test_wrong_arguments_are_refused(change, error, message):
    labels = np.zeros((3, 3), int)
    arguments = {"planes": {}, "nuclei": labels, "cells": labels, "cytoplasm": labels} | change
    with pytest.raises(error, match=message):
        measure_objects(arguments.pop("planes"), **arguments)


@needs_golden
@pytest.mark.parametrize("objects", COMPARTMENTS)
def test_values_are_those_of_cellprofiler(objects):
    images, labels = np.load(GOLDEN / "images_uint16.npz"), np.load(GOLDEN / "labels_uint16.npz")
    golden = pq.read_table(GOLDEN / f"cellprofiler_4.2.8.1_{objects}.parquet").to_pydict()
    features = measure_objects(
        {channel: images[channel] for channel in ("DNA", "RNA")},
        nuclei=labels["Nuclei"],
        cells=labels["Cells"],
        cytoplasm=labels["Cytoplasm"],
    )
    ours = {name.removeprefix(f"{objects}_"): values for name, values in features.items() if name.startswith(objects)}
    ours = {name: values for name, values in ours.items() if "NucleusCytoplasmRatio" not in name}
    assert set(ours) <= set(golden)
    for name, values in ours.items():
        np.testing.assert_allclose(values, golden[name], rtol=1e-6, atol=1e-9, err_msg=name)


@needs_golden
def test_cytoplasm_with_shared_rim_is_that_of_cellprofiler():
    labels = np.load(GOLDEN / "labels_uint16.npz")
    cytoplasm = segment_cytoplasm(labels["Nuclei"], labels["Cells"], shared_rim=True)
    assert (cytoplasm == labels["Cytoplasm"]).all()
