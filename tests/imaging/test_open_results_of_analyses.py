"""Frames of hits, profiles and what else analyses find: by analysis recipe, whichever counts."""

from __future__ import annotations

import pytest

import imaging
from imaging.analyses.reconcile import reconcile
from imaging.errors import ConfigurationError
from imaging.store import FolderStore
from tests.imaging import small_analyses
from tests.imaging.small_analyses import EXPERIMENT, QUICK, publish


@pytest.fixture
def analysed(folder_store: FolderStore) -> FolderStore:
    """Two plates under two recipes, and then a third plate: each recipe has a superseded analysis."""
    small_analyses.declare(folder_store, QUICK, other=b"hits: {permutations: 600}\nfailures: {rules: none}\n")
    for plate in ("P1", "P2"):
        publish(folder_store, plate)
    reconcile(folder_store, EXPERIMENT)
    publish(folder_store, "P3")
    reconcile(folder_store, EXPERIMENT)
    return folder_store


def test_the_recipe_that_counts_and_others_by_name(analysed: FolderStore) -> None:
    results = imaging.open_results(analysed)
    counting = set(results.hits(EXPERIMENT).to_arrow()["analysis_recipe"].to_pylist())
    assert [name.rpartition("-")[0] for name in counting] == ["standard"]
    for recipe in ("standard", *counting):
        assert results.hits(EXPERIMENT, recipe=recipe).to_arrow().num_rows == small_analyses.TREATMENTS
    others = results.hits(EXPERIMENT, recipe="other").to_pandas()
    assert len(others) == small_analyses.TREATMENTS, "of two analyses under it the current one"
    assert set(others["n_plates"]) == {3}


def test_a_recipe_that_nobody_knows_is_named(analysed: FolderStore) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no recipe standart; there are other-.*, standard-"):
        imaging.open_results(analysed).hits(EXPERIMENT, recipe="standart")


def test_plates_are_chosen_of_what_is_of_plates(analysed: FolderStore) -> None:
    results = imaging.open_results(analysed)
    profiles = results.profiles(EXPERIMENT, plate="P3", recipe="other").to_arrow()
    assert set(profiles["plate"].to_pylist()) == {"P3"}
    assert results.profiles(EXPERIMENT, recipe=small_analyses.RECIPE).to_arrow().num_rows == 3 * 96
    with pytest.raises(ConfigurationError, match="a row of hits is of all plates of the experiment; leave plate out"):
        results.hits(EXPERIMENT, plate="P1")


def test_any_table_is_a_dask_frame(analysed: FolderStore) -> None:
    hits = imaging.open_results(analysed).hits(EXPERIMENT)
    assert hits.to_dask().compute()["treatment"].tolist() == hits.to_pandas()["treatment"].tolist()
