"""Control charts: the rules of Western Electric where they should be met, and drift told from noise."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.analyses.control_charts import ALPHA, Chart, chart_points, drifting, find_signals


def _rules(*z: float) -> set[tuple[int, int]]:
    return {(signal.rule, signal.point) for signal in find_signals(np.array(z))}


def test_a_point_beyond_three_is_a_signal() -> None:
    assert _rules(0, 3.1, 0, -3.1) == {(1, 1), (1, 3)}
    assert _rules(0, 2.9, 0) == set()


def test_two_of_three_beyond_two_on_one_side_are_a_signal() -> None:
    assert _rules(2.1, 0, 2.1) == {(2, 2)}
    assert _rules(2.1, 0, 0, 2.1) == set()
    assert _rules(2.1, 0, -2.1) == set()


def test_four_of_five_beyond_one_on_one_side_are_a_signal() -> None:
    assert _rules(-1.1, -1.1, 0, -1.1, -1.1) == {(3, 4)}
    assert _rules(-1.1, -1.1, 0, 0, -1.1, -1.1) == set()


def test_eight_on_one_side_are_a_signal() -> None:
    assert _rules(*[0.1] * 8) == {(4, 7)}
    assert _rules(*[0.1] * 7, -0.1) == set()


def test_the_deviation_is_that_of_neighbours_and_not_of_the_drift() -> None:
    rng = np.random.default_rng(0)
    values = 10 + np.linspace(0, 20, 200) + rng.normal(0, 1, 200)

    chart = chart_points("light", [str(n) for n in range(200)], values)

    assert chart.sd == pytest.approx(1.0, rel=0.2)


def test_a_single_jump_does_not_widen_the_limits() -> None:
    values = np.random.default_rng(1).normal(0, 1, 30)
    values[15] = 1000.0

    chart = chart_points("light", [str(n) for n in range(30)], values)

    assert (15, 1) in {(signal.point, signal.rule) for signal in chart.signals}
    assert chart.sd < 2


def test_a_drift_is_found_and_noise_is_not() -> None:
    """Of 24 experiments with 5 quiet charts of 20 plates each, none or one drifts at 1 %; a slow fading always does."""
    rng = np.random.default_rng(2)
    alarms = found = 0
    names = [f"P{n}" for n in range(20)]
    for _ in range(24):
        quiet = [chart_points(f"m{n}", names, rng.normal(100, 5, 20)) for n in range(5)]
        fading = chart_points("fading", names, rng.normal(100, 5, 20) - np.linspace(0, 40, 20))
        alarms += bool(drifting(quiet))
        found += [chart.metric for chart in drifting([*quiet, fading])] == ["fading"]
    assert alarms <= 1
    assert found >= 22


def test_points_without_a_value_and_short_or_flat_charts_are_not_judged() -> None:
    values = np.array([1.0, np.nan, 2.0, 3.0])

    short = chart_points("light", ["a", "b", "c", "d"], values)
    flat = chart_points("light", [str(n) for n in range(20)], np.full(20, 3.0))

    assert short.names == ("a", "c", "d")
    assert (short.signals, short.p) == ((), None)
    assert (flat.signals, flat.p) == ((), None)
    assert drifting([short, flat]) == []


def test_a_chart_beyond_chance_alone_is_no_drift_without_a_rule() -> None:
    chart = Chart("light", ("a",) * 9, np.zeros(9), 0.0, 1.0, (), ALPHA / 10)

    assert drifting([chart]) == []
