"""Statistics of groups of rows, against what a loop over them gives."""

import numpy as np
import pytest

from kernels.exchange import average_precisions, mean_products, median_pairs, rank_neighbours


@pytest.fixture
def similarities():
    random = np.random.default_rng(4)
    rows = random.normal(size=(9, 3))
    return (rows @ rows.T).astype(np.float32)


GROUPS = np.array([[0, 1, 2], [8, 3, 5], [4, 7, 6]], np.int32)


def test_the_most_similar_row_has_rank_one_and_no_row_ranks_itself():
    ranks = rank_neighbours(np.array([[9, 1, 3], [1, 0, 2], [3, 2, 0]], np.float32))
    assert ranks.tolist() == [[0, 2, 1], [2, 0, 1], [1, 2, 0]]


def test_equal_similarities_have_the_last_of_their_ranks():
    ranks = rank_neighbours(np.array([[0, 5, 5, 7], [5, 0, 5, 5], [5, 5, 0, 1], [7, 5, 1, 0]], np.float32))
    assert ranks.tolist() == [[0, 3, 3, 1], [3, 0, 3, 3], [2, 2, 0, 3], [1, 2, 3, 0]]


def test_average_precision_of_a_group_is_that_of_its_rows_lists(similarities):
    ranks = rank_neighbours(similarities)
    for group, found in zip(GROUPS, average_precisions(ranks, GROUPS), strict=True):
        lists = [np.sort(ranks[i, [j for j in group if j != i]]) for i in group]
        assert found == pytest.approx(np.mean([np.mean([1, 2] / places) for places in lists]))


def test_large_groups_are_counted_and_give_the_same():
    random = np.random.default_rng(7)
    rows = random.normal(size=(120, 2)).round(1)  # with ties
    ranks = rank_neighbours((rows @ rows.T).astype(np.float32))
    for size in (31, 32, 33, 90):
        groups = np.array([random.permutation(120)[:size] for _ in range(3)], np.int32)
        for group, found in zip(groups, average_precisions(ranks, groups), strict=True):
            lists = [np.sort(ranks[i, [j for j in group if j != i]]) for i in group]
            assert found == pytest.approx(np.mean([np.mean(np.arange(1, size) / places) for places in lists]))


def test_rows_that_are_nearest_to_one_another_have_precision_one():
    near = np.zeros((5, 5), np.float32)
    near[:3, :3] = 1
    assert average_precisions(rank_neighbours(near), np.array([[0, 1, 2]], np.int32))[0] == pytest.approx(0.75)
    near[0, 1] = near[1, 2] = near[2, 0] = 2  # untied, the first of two is first
    assert average_precisions(rank_neighbours(near), np.array([[0, 1, 2]], np.int32))[0] == 1


def test_mean_of_products_is_the_mean_over_all_pairs_and_the_rows_themselves(similarities):
    expected = [similarities[np.ix_(group, group)].mean() for group in GROUPS]
    assert mean_products(similarities.astype(float), GROUPS) == pytest.approx(expected)


@pytest.mark.parametrize("size", [2, 3, 4])
def test_median_is_over_pairs_of_different_rows(similarities, size):
    groups = np.array([range(size), range(9 - size, 9)], np.int32)
    upper = np.triu_indices(size, 1)
    expected = [np.median(similarities[np.ix_(group, group)][upper]) for group in groups]
    assert median_pairs(similarities.astype(float), groups) == pytest.approx(expected)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"similarities must have shape \(n, n\), got \(2, 3\)"):
        rank_neighbours(np.zeros((2, 3), np.float32))
    for function in (average_precisions, median_pairs):
        with pytest.raises(ValueError, match=r"k of 2 or more, got \(3, 1\)"):
            function(np.zeros((3, 3)), np.zeros((3, 1), np.int32))
