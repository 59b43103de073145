"""Nearest mechanisms, by hand."""

import numpy as np
import pandas as pd
import pytest

from imaging.analyses.mechanisms import find_nearest_mechanisms
from imaging.analyses.profiles import Profiles, complete_wells


def consensus(*rows):
    names = ("treatment", "concentration", "mechanism", "control")
    wells = complete_wells(pd.DataFrame([dict(zip(names, row, strict=False)) for row, _ in rows]))
    return Profiles(np.array([values for _, values in rows], float), ("a", "b"), wells)


def test_a_mechanism_scores_the_mean_of_its_treatments_best_concentrations():
    found = find_nearest_mechanisms(
        consensus(
            (("x", 1.0, ""), (1, 0)),
            (("k1", 1.0, "kinase"), (0, 1)),
            (("k1", 10.0, "kinase"), (3, 0)),
            (("k2", 1.0, "kinase"), (3, 4)),
            (("d", 1.0, "DNA"), (-1, 0)),
            (("DMSO", 0.0, "none", "negcon"), (1, 0)),
        )
    )
    of_x = found[found["treatment"] == "x"]
    assert of_x["mechanism"].tolist() == ["kinase", "DNA"]
    assert of_x["similarity"].tolist() == pytest.approx([0.8, -1])
    assert of_x["n_treatments"].tolist() == [2, 1]
    assert "DMSO" not in set(found["treatment"])


def test_a_treatment_does_not_count_for_itself():
    found = find_nearest_mechanisms(
        consensus((("k", 1.0, "kinase"), (1, 0)), (("k", 9.0, "kinase"), (1, 0)), (("d", 1.0, "DNA"), (0, 1)))
    )
    assert found[found["treatment"] == "k"]["mechanism"].tolist() == ["DNA", "DNA"]


def test_without_annotations_there_are_none():
    assert len(find_nearest_mechanisms(consensus((("x", 1.0), (1, 0)), (("y", 1.0), (0, 1))))) == 0


def test_the_list_is_as_long_as_asked_for():
    rows = [((f"t{i}", 1.0, f"m{i}"), (1, i)) for i in range(6)]
    assert find_nearest_mechanisms(consensus(*rows), most=2).groupby("treatment").size().tolist() == [2] * 6
