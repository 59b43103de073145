from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from imaging.analyses.neighbours import classify_by_neighbour, cosine_similarities
from imaging.analyses.profiles import Profiles, complete_wells


def consensus(*rows: tuple[str, float, str, str, list[float]]) -> Profiles:
    """Profiles of treatment, concentration, mechanism, batches, values."""
    frame = pd.DataFrame([row[:4] for row in rows], columns=["treatment", "concentration", "mechanism", "batch"])
    frame["control"] = np.where(frame["treatment"] == "DMSO", "negcon", "trt")
    values = np.array([row[4] for row in rows], float)
    return Profiles(values, tuple(f"F{i}" for i in range(values.shape[1])), complete_wells(frame))


SCREEN = consensus(
    ("taxol", 1, "stabilizer", "week 1", [1, 0, 0]),
    ("taxol", 3, "stabilizer", "week 1", [1, 0.01, 0]),
    ("docetaxel", 1, "stabilizer", "week 1; week 2", [5, 1, 0]),
    ("nocodazole", 1, "destabilizer", "week 2", [0, 1, 0.3]),
    ("vincristine", 1, "destabilizer", "week 3", [0.8, 1, 0]),
    ("DMSO", 0, "stabilizer", "week 1", [1, 0.02, 0]),
    ("unknown", 1, "", "week 1", [1, 0.02, 0]),
)


def test_a_treatment_is_no_neighbour_of_itself() -> None:
    recall = classify_by_neighbour(SCREEN)
    nearest = recall.table.set_index(["treatment", "concentration"])["neighbour_treatment"].to_dict()
    assert nearest == {
        ("taxol", 1.0): "docetaxel",
        ("taxol", 3.0): "docetaxel",
        ("docetaxel", 1.0): "taxol",
        ("nocodazole", 1.0): "vincristine",
        ("vincristine", 1.0): "docetaxel",  # cosine 0.765 against 0.748
    }
    assert recall.n == 5
    assert recall.accuracy == pytest.approx(4 / 5)


def test_nscb_leaves_out_all_with_a_batch_in_common() -> None:
    recall = classify_by_neighbour(SCREEN, exclude="treatment+batch")
    nearest = recall.table.set_index(["treatment", "concentration"])["neighbour_treatment"].to_dict()
    assert nearest[("taxol", 1.0)] == "vincristine"  # not docetaxel, which is of week 1 too
    assert nearest[("docetaxel", 1.0)] == "vincristine"
    assert recall.accuracy == pytest.approx(1 / 5)
    assert recall.table["can_be_right"].tolist() == [False, True, False, False, True]


def test_equal_neighbours_are_taken_by_name_whatever_the_order() -> None:
    screen = consensus(("a", 1, "x", "1", [1.0, 0.1]), ("c", 1, "y", "1", [1.0, 0.0]), ("b", 1, "x", "1", [3.0, 0.0]))
    for order in ([0, 1, 2], [2, 1, 0]):
        table = classify_by_neighbour(screen.take(order)).table.set_index("treatment")
        assert table.loc["a", "neighbour_treatment"] == "b"


def test_cosines_are_of_the_features_that_both_have() -> None:
    values = np.array([[1.0, 2, np.nan], [2, 1, 7], [np.nan, np.nan, 1], [0, 0, 0]])
    made = cosine_similarities(values)
    assert made[0, 1] == pytest.approx(4 / 5)
    assert np.isnan(made[0, 2])
    assert np.isnan(made[3]).all()


def test_one_treatment_has_no_neighbour_and_no_accuracy() -> None:
    recall = classify_by_neighbour(SCREEN.take([0, 1]))
    assert recall.n == 0
    assert np.isnan(recall.accuracy)
    assert len(recall.table) == 0


def test_profiles_without_mechanisms_do_not_take_part() -> None:
    table = classify_by_neighbour(SCREEN).table
    assert not {"DMSO", "unknown"} & {*table["treatment"], *table["neighbour_treatment"]}
    assert table["profile"].tolist() == [2, 3, 0, 1, 4]
