"""Dose responses: the curve, its interval, and why there is none."""

import numpy as np
import pandas as pd
import pytest

from imaging.analyses.dose_response import fit_dose_responses, list_dose_points
from imaging.analyses.profiles import Profiles, complete_wells
from imaging.analyses.recipe import HitCriteria
from imaging.analyses.sigmoid import Doses, fit_sigmoid

HITS = HitCriteria(permutations=500, features=("f",))
CONCENTRATIONS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


def curve(x, midpoint, *, slope=1.2, bottom=0.0, top=10.0):
    return bottom + (top - bottom) / (1 + 10 ** (slope * (midpoint - x)))


def series(
    response, *, scatter=0.3, replicates=3, unit="uM", concentrations=CONCENTRATIONS, seed=0, plates=1, controls=8
):
    """Wells of one treatment on plates with negative controls around 0."""
    random = np.random.default_rng(seed)
    wells, values = [], []
    for plate in range(plates):
        for number in range(controls):
            wells.append({"plate": f"P{plate}", "well": f"A{number + 1:02d}", "treatment": "DMSO", "control": "negcon"})
            values.append(random.normal() * scatter)
        for row in range(replicates):
            for number, concentration in enumerate(concentrations):
                place = {"plate": f"P{plate}", "well": f"{chr(66 + row)}{number + 1:02d}", "treatment": "x"}
                wells.append(place | {"control": "trt", "concentration": concentration, "concentration_unit": unit})
                values.append(response(concentration) + random.normal() * scatter)
    frame = complete_wells(pd.DataFrame(wells).assign(experiment="e"))
    return Profiles(np.array(values)[:, None], ("f",), frame)


def fit(profiles, hits=HITS):
    (row,) = fit_dose_responses(profiles, hits).to_dict("records")
    return row


def test_a_curve_without_scatter_is_found_again():
    x = np.repeat(np.linspace(-2, 2, 8), 2)
    found = fit_sigmoid(Doses.of(x, curve(x, 0.37, slope=1.4, bottom=3, top=-5)))
    assert (found.midpoint, found.slope) == (pytest.approx(0.37, abs=1e-4), pytest.approx(1.4, rel=1e-3))
    assert (found.bottom, found.top) == (pytest.approx(3, abs=1e-3), pytest.approx(-5, abs=1e-3))


def test_the_best_curve_is_no_worse_than_a_search_from_many_starts():
    from scipy.optimize import least_squares

    random = np.random.default_rng(1)
    x = np.repeat(np.linspace(-1.5, 1.5, 7), 3)
    for _ in range(5):
        y = curve(x, random.uniform(-1, 1), slope=random.uniform(0.7, 3)) + random.normal(size=len(x))

        def residuals(p, y=y):
            return y - curve(x, p[0], slope=p[1], bottom=p[2], top=p[3])

        starts = [(m, s, y.min(), y.max()) for m in (-1, -0.5, 0, 0.5, 1) for s in (0.5, 2, 5)]
        best = min(2 * least_squares(residuals, start).cost for start in starts)
        assert fit_sigmoid(Doses.of(x, y)).residual <= best * (1 + 1e-4)


def test_interval_ends_where_the_best_other_curve_is_worse_by_the_f_threshold():
    from scipy.optimize import minimize
    from scipy.stats import f

    x = np.repeat(np.linspace(-1.5, 1.5, 7), 3)
    y = curve(x, 0.2) + np.random.default_rng(2).normal(size=len(x))
    found = fit_sigmoid(Doses.of(x, y))
    limit = found.residual * (1 + f.ppf(0.95, 1, 17) / 17)
    for end in (found.low, found.high):
        start = (found.slope, found.bottom, found.top)
        best = minimize(
            lambda p, end=end: np.sum((y - curve(x, end, slope=p[0], bottom=p[1], top=p[2])) ** 2),
            start,
            method="Nelder-Mead",
            options={"maxiter": 4000, "fatol": 1e-10, "xatol": 1e-8},
        )
        assert best.fun == pytest.approx(limit, rel=1e-4)


@pytest.mark.parametrize(("replicates", "doses"), [(3, 6), (4, 8)])
def test_interval_covers_the_midpoint_about_as_often_as_it_says(replicates, doses):
    random = np.random.default_rng(3)
    x = np.repeat(np.linspace(-1.5, 1.5, doses), replicates)
    covered = 0
    for _ in range(60):
        found = fit_sigmoid(Doses.of(x, curve(x, 0.1) + random.normal(size=len(x))))
        is_above = found.low is None or found.low <= 0.1
        covered += is_above and (found.high is None or found.high >= 0.1)
    assert 50 <= covered <= 60  # of intervals of 95 % as few as 49 are seen once in 100,000 times


def test_an_end_that_the_doses_leave_open_is_none():
    x = np.repeat(np.linspace(-2, 0, 6), 3)
    found = fit_sigmoid(Doses.of(x, curve(x, 0.2) + 0.8 * np.random.default_rng(0).normal(size=len(x))))
    assert found.high is None
    assert found.low is not None


def test_too_few_doses_or_wells_are_refused():
    with pytest.raises(ValueError, match="needs 3 doses and 5 wells, got 2 and 6"):
        fit_sigmoid(Doses.of(np.array([0, 0, 0, 1, 1, 1.0]), np.arange(6.0)))


def test_ec50_has_the_unit_of_the_concentration():
    found = fit(series(lambda c: curve(np.log10(c), np.log10(0.5))))
    assert found["reason"] == ""
    assert found["ec50_low"] < 0.5 < found["ec50_high"]
    assert found["ec50"] == pytest.approx(0.5, rel=0.2)
    assert found["concentration_unit"] == "uM"
    assert (found["n_doses"], found["n_wells"], found["n_replicates"]) == (8, 24, 3)
    assert found["p"] == found["q"] < 0.01


@pytest.mark.parametrize("unit", ["index", "log10(M)"])
def test_an_index_or_a_logarithm_is_an_axis_as_it_is(unit):
    found = fit(series(lambda c: curve(c, 4.3), unit=unit, concentrations=range(10)))
    assert found["ec50"] == pytest.approx(4.3, abs=0.2)


def test_concentration_zero_has_no_logarithm_and_is_left_out():
    profiles = series(lambda c: curve(np.log10(max(c, 1e-9)), -0.3), concentrations=(0, *CONCENTRATIONS))
    assert fit(profiles)["n_doses"] == 8


@pytest.mark.parametrize(
    ("response", "options", "reason"),
    [
        (lambda c: 5.0, {}, "flat: doses differ no more than by chance"),
        (lambda c: 10 - 9 * abs(np.log10(c)), {}, "neither rising nor falling throughout"),
        (lambda c: c, {"concentrations": CONCENTRATIONS[:4]}, "4 doses with values, a fit needs 5"),
        (lambda c: c, {"concentrations": CONCENTRATIONS[:5], "replicates": 1}, "5 wells, a fit needs 6"),
        (lambda c: curve(np.log10(c), 2.2), {"scatter": 0.1}, "EC50 above the highest dose"),
        (lambda c: curve(np.log10(c), -2.6), {"scatter": 0.1}, "EC50 below the lowest dose"),
    ],
)
def test_no_fit_has_its_reason(response, options, reason):
    found = fit(series(response, **options))
    assert found["reason"].startswith(reason)
    assert np.isnan(found["ec50"])


def test_beyond_the_doses_the_nearer_end_of_the_interval_is_told():
    found = fit(series(lambda c: curve(np.log10(c), 2.2), scatter=0.1))
    assert found["ec50_low"] > 10
    assert np.isnan(found["ec50_high"])


def test_several_plates_need_negative_controls_and_a_single_one_does_not():
    def response(c):
        return curve(np.log10(c), 0)

    assert fit(series(response, controls=0))["top"] == pytest.approx(10, abs=1)
    assert fit(series(response, controls=0, plates=2))["reason"] == "no negative controls on its plates"


def test_noise_seldom_has_a_dose_response():
    found = [fit(series(lambda c: 0.0, seed=seed))["p"] for seed in range(80)]
    assert np.mean(np.array(found) <= 0.05) <= 0.1


def test_the_order_of_the_wells_changes_no_bit():
    profiles = series(lambda c: curve(np.log10(c), 0), plates=2)
    order = np.random.default_rng(0).permutation(len(profiles))
    assert fit(profiles.take(order)) == fit(profiles)


def test_one_concentration_is_no_series():
    assert len(fit_dose_responses(series(lambda c: c, concentrations=(1.0,)), HITS)) == 0


def test_the_points_of_a_curve_are_medians_of_wells_in_its_own_unit():
    profiles = series(lambda c: curve(np.log10(c), 0.0), scatter=0.01)
    fitted, points = fit(profiles), list_dose_points(profiles, HITS)
    assert points["concentration"].tolist() == list(CONCENTRATIONS)
    assert (points["n_wells"] == 3).all()
    x = np.log10(points["concentration"].to_numpy())
    expected = curve(x, np.log10(fitted["ec50"]), slope=fitted["slope"], bottom=fitted["bottom"], top=fitted["top"])
    height = fitted["top"] - fitted["bottom"]
    assert points["value"].to_numpy() == pytest.approx(expected, abs=0.02 * height)
    assert len(list_dose_points(series(lambda c: c, concentrations=(1.0,)), HITS)) == 0
    assert len(list_dose_points(series(lambda c: c, controls=0, plates=2), HITS)) == 0


def test_doses_on_plates_of_their_own_are_not_decided():
    parts = [
        series(lambda c: 10 * c, concentrations=(dose,), seed=number) for number, dose in enumerate(CONCENTRATIONS)
    ]
    for number, part in enumerate(parts):
        part.wells["plate"] = f"P{number}"
    wells = pd.concat([part.wells for part in parts], ignore_index=True)
    found = fit(Profiles(np.concatenate([part.values for part in parts]), ("f",), wells))
    assert np.isnan(found["p"])
    assert "each plate has one dose" in found["reason"]


def test_a_series_without_replicates_has_a_curve_and_no_place_among_those_that_are_decided():
    found = fit(series(lambda c: curve(np.log10(c), 0.0), replicates=1))
    assert np.isfinite(found["ec50"])
    assert np.isnan(found["q"])
