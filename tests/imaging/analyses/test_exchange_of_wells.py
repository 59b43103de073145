"""Tests by exchange: pools, draws, exact p-values."""

import itertools

import numpy as np
import pytest

from imaging.analyses.exchange import (
    MOST_CONTROLS,
    ExchangeTest,
    Pool,
    count_arrangements,
    draw_groups,
    exchange,
    exchange_all,
    gather_pools,
    p_value_of,
    remembering,
)
from imaging.analyses.treatments import list_treatments
from tests.known_answers.noise import Screen, draw


def pool_of(*plates):
    return Pool(np.arange(sum(n for n, _ in plates)), tuple(plates))


def test_treated_wells_are_the_last_of_each_plate():
    assert pool_of((4, 1), (5, 2)).treated.tolist() == [[3, 7, 8]]
    assert pool_of((3, 1), (2, 1)).controls.tolist() == [True, True, False, True, False]


def test_a_small_pool_is_counted_out_and_its_p_value_is_exact():
    values = np.array([1.0, 2, 3, 4, 9, 10])
    p = exchange(pool_of((6, 2)), lambda groups: values[groups].sum(axis=1), count=1000, seed=0)
    assert p == pytest.approx(1 / 15)
    p = exchange(pool_of((6, 2)), lambda groups: -values[groups].sum(axis=1), count=1000, seed=0)
    assert p == 1


def test_wells_are_exchanged_within_their_plate_only():
    groups = draw_groups(((3, 1), (4, 2)), 1000, 0)
    assert len(groups) == count_arrangements(((3, 1), (4, 2))) == 3 * 6
    assert {tuple(row) for row in groups.tolist()} == {
        (a, *pair) for a in range(3) for pair in itertools.combinations(range(3, 7), 2)
    }


@pytest.mark.parametrize("plates", [((40, 3), (40, 1)), ((100, 5),)])
def test_drawn_groups_have_different_wells_each_equally_often(plates):
    groups = draw_groups(plates, 20_000, 1)
    assert all(len(set(row)) == groups.shape[1] for row in groups[:500].tolist())
    begin = 0
    for wells, treated in plates:
        is_here = (groups >= begin) & (groups < begin + wells)
        assert (is_here.sum(axis=1) == treated).all()
        seen = np.bincount(groups[is_here], minlength=begin + wells)[begin:]
        assert np.abs(seen / (20_000 * treated / wells) - 1).max() < 0.25
        begin += wells


def test_draws_depend_on_the_seed_and_on_the_portion():
    plates = ((50, 3),)
    assert np.array_equal(draw_groups(plates, 100, 0), draw_groups(plates, 100, 0))
    assert not np.array_equal(draw_groups(plates, 100, 0), draw_groups(plates, 100, 1))
    assert not np.array_equal(draw_groups(plates, 100, 0), draw_groups(plates, 100, 0, 1))


def test_a_p_value_counts_the_treatment_itself_and_is_never_zero():
    assert p_value_of(1.0, lambda _, size: np.zeros(size), 2_000) == 1 / 2_001
    assert p_value_of(1.0, lambda _, size: np.arange(size) < 10, 1_500) == 21 / 1_501


def test_drawing_ends_once_enough_are_as_extreme():
    seen = []
    p = p_value_of(0.5, lambda step, size: seen.append(step) or np.ones(size), 100_000)
    assert (p, seen) == (1.0, [0])


def test_a_lone_treatment_beyond_all_draws_is_drawn_for_until_the_rate_can_be_met():
    values = np.random.default_rng(0).normal(size=200)
    values[-4:] = 50
    strong, weak = pool_of((200, 4)), pool_of((196, 4))
    pools = [strong, *[weak] * 99]

    test = ExchangeTest("sum", values, lambda _, of: lambda groups: of[groups].sum(axis=1))
    p = exchange_all(pools, test, count=1_000, seed=0, fdr=0.05)
    assert p[0] < 0.05 / 100 < 1 / 1_000
    assert np.isnan(exchange_all([None], test, count=1_000, seed=0, fdr=0.05)).all()


def test_p_values_that_are_remembered_are_not_drawn_again():
    values = np.random.default_rng(0).normal(size=40)
    pools = [pool_of((20, 4)), pool_of((30, 4))]
    drawn = []

    def statistic(pool, of):
        drawn.append(pool.plates)
        return lambda groups: of[groups].sum(axis=1)

    def test_all(values, name="sum", **how):
        test, given = ExchangeTest(name, values, statistic), {"count": 500, "seed": 0, "fdr": 0.05}
        return exchange_all(pools, test, **(given | how))

    plain = test_all(values)
    known = {}
    with remembering(known):
        assert test_all(values).tolist() == plain.tolist()
        drawn.clear()
        assert test_all(values).tolist() == plain.tolist()
        assert drawn == []
        other = values.copy()
        other[25] += 1.0  # a well of the second pool alone
        test_all(other)
        assert drawn == [((30, 4),)]
        for how in ({"count": 600}, {"seed": 1}, {"name": "another"}):
            drawn.clear()
            test_all(values, **how)
            assert len(drawn) >= 2, how
    drawn.clear()
    test_all(values)
    assert len(drawn) == 2, "outside of the block nothing is remembered"


def test_plates_are_centred_and_scaled_by_all_wells_of_the_pool():
    values = np.array([[1.0, 5], [3, 5], [np.nan, 5], [100, 7], [300, 7]])
    wells = pool_of((3, 1), (2, 1)).standardize(values)
    assert wells[:, 0].tolist() == [-1, 1, 0, -1, 1]
    assert (wells[:, 1] == 0).all()


def test_exchangeable_wells_stay_so_whatever_a_plate_was_normalized_by():
    values = np.random.default_rng(0).normal(size=(12, 4))
    pool = pool_of((6, 1), (6, 2))
    moved = values.copy()
    moved[:6] = moved[:6] * 7 - 3
    moved[6:] = moved[6:] / 50 + 9
    assert pool.standardize(moved) == pytest.approx(pool.standardize(values))


def test_rounding_of_equal_values_is_no_difference():
    values = np.full((5, 1), 0.1) + np.array([[0], [1], [0], [1], [0]]) * 1e-17
    assert (pool_of((5, 1)).standardize(values) == 0).all()


def test_a_pool_has_the_controls_of_the_treatment_s_plates_only():
    screen = draw(Screen(treatments=3, replicates=2, controls=5, features=2), 0)
    rows = list_treatments(screen).rows[1]
    screen.wells.loc[screen.wells["plate"].eq("P1") & screen.wells["control"].eq("negcon"), "control"] = "empty"
    (pool,) = gather_pools(screen, [rows])
    assert pool.plates == ((6, 1),)
    assert set(screen.wells["plate"].iloc[pool.rows]) == {"P0"}
    mask = np.ones(len(screen), bool)
    mask[pool.rows[:2]] = False
    (fewer,) = gather_pools(screen, [rows], reference=mask)
    assert fewer.rows.tolist() == pool.rows[2:].tolist()


def test_many_controls_are_thinned_evenly():
    screen = draw(Screen(treatments=1, replicates=2, controls=300, features=1), 0)
    (pool,) = gather_pools(screen, list_treatments(screen).rows)
    assert pool.plates == ((MOST_CONTROLS // 2 + 1, 1),) * 2


def test_fewer_draws_than_there_are_groups_are_drawn_and_not_the_first_of_them():
    values = np.arange(43.0)  # the first rows hold the least values
    pool = pool_of((43, 2))
    assert 100 < count_arrangements(pool.plates) < 1_000
    seen = []

    def statistic(groups):
        seen.append(groups)
        return values[groups].mean(axis=1)

    exchange(pool, statistic, count=100, seed=0)
    drawn = np.concatenate(seen[1:])
    assert len(drawn) == 100
    assert abs(values[drawn].mean() - values.mean()) < 4 * values.std() / np.sqrt(drawn.size)


def test_one_strong_treatment_among_many_null_ones_is_drawn_for_long_enough():
    values = np.random.default_rng(0).normal(size=200)
    values[-4:] = 50
    pools = [pool_of((200, 4)), *[pool_of((196, 4))] * 999]
    test = ExchangeTest("sum", values, lambda _, of: lambda groups: of[groups].sum(axis=1))
    known = {}
    with remembering(known):  # the null ones are alike
        p = exchange_all(pools, test, count=1_000, seed=0, fdr=0.025)
    assert p[0] * 1_000 <= 0.025
