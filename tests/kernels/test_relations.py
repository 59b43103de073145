"""Parents and children by overlap."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.relations import count_children, describe_children, describe_parent, find_parents
from tests.golden import read_labels, read_values


def test_the_parent_is_the_object_with_the_greatest_overlap() -> None:
    children = np.array([[1, 1, 1, 2, 2, 0, 4, 5], [1, 0, 3, 3, 2, 2, 4, 0]])
    parents = np.array([[7, 7, 2, 2, 2, 2, 0, 3], [7, 7, 2, 4, 4, 4, 0, 3]])
    assert find_parents(children, parents).tolist() == [7, 2, 2, 0, 3]


def test_of_equal_overlaps_the_least_number_is_the_parent() -> None:
    assert find_parents(np.array([[1, 1, 1, 1]]), np.array([[9, 3, 3, 9]])).tolist() == [3]


def test_many_parents_of_one_child_make_their_own_room() -> None:
    parents = np.arange(1, 1001).reshape(10, 100)
    parents[4, 40:43] = 600
    assert find_parents(np.ones((10, 100), int), parents).tolist() == [600]


def test_a_child_may_have_very_many_parents_and_a_parent_as_many_children() -> None:
    numbers = np.zeros((800, 800), np.int32)
    numbers[1::4, 1::4] = np.arange(1, 40_001).reshape(200, 200)
    whole = np.ones_like(numbers)
    assert find_parents(whole, numbers).tolist() == [1]
    assert find_parents(numbers, whole).tolist() == [1] * 40_000


def test_children_are_counted_for_each_parent() -> None:
    assert count_children(np.array([2, 0, 2, 5]), 6).tolist() == [0, 2, 0, 0, 1, 0]
    assert count_children(find_parents(np.zeros((3, 3), int), np.ones((3, 3), int)), 1).tolist() == [0]
    assert count_children(np.array([], int), 0).tolist() == []


def test_relations_are_those_of_cellprofiler() -> None:
    nuclei, cells, cytoplasm = read_labels()
    expected = read_values("Cytoplasm")
    for name, parents in (("Nuclei", nuclei), ("Cells", cells)):
        found = find_parents(cytoplasm, parents)
        np.testing.assert_array_equal(found, expected[describe_parent(name).name])
        counts = read_values(name)[describe_children("Cytoplasm").name]
        np.testing.assert_array_equal(count_children(found, len(counts)), counts)
    kept, everything = read_labels(("Nuclei", "NucleiIncludingEdges"))
    found = find_parents(kept, everything)
    np.testing.assert_array_equal(found, read_values("Nuclei")[describe_parent("NucleiIncludingEdges").name])
    counts = read_values("NucleiIncludingEdges")[describe_children("Nuclei").name]
    np.testing.assert_array_equal(count_children(found, len(counts)), counts)


@pytest.mark.parametrize(
    ("children", "parents", "message"),
    [
        (np.zeros((2, 2)), np.zeros((2, 2), int), "children must have an integer type"),
        (np.zeros((2, 2), int), np.zeros((2, 3), int), "one shape"),
        (np.zeros((2, 2), int), np.full((2, 2), -3), "parents must be 0 or more"),
        (np.zeros(2, int), np.zeros(2, int), "shape"),
    ],
)
def test_what_cannot_be_related_is_refused(children: np.ndarray, parents: np.ndarray, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        find_parents(children, parents)
