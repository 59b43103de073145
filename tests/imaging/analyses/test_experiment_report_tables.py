"""The report of an analysis from its tables: the right columns, limits by hand, and nothing where nothing is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from imaging.analyses.page import encode_report
from imaging.analyses.profile_map import ProfileMap
from imaging.analyses.recipe import HitCriteria
from imaging.analyses.report import ReportCount
from imaging.analyses.report_tables import AnalysisTables, charts_of, doses_of, hits_of, mixing_of, plates_of, report_of

HITS = pd.DataFrame(
    {
        "treatment": ["a", "a", "b"],
        "concentration": [1.0, 3.0, 1.0],
        "concentration_unit": "uM",
        "n_replicates": 4,
        "activity_map": [0.9, 0.5, 0.1],
        "activity_q": [0.01, 0.2, 0.9],
        "distance_mahalanobis": [9.0, 3.0, 1.0],
        "effect_z": [4.0, 1.0, 0.0],
        "criteria_met": ["activity, distance", "", ""],
        "nearest_mechanism": ["actin", "", ""],
        "mechanism_similarity": [0.812, np.nan, np.nan],
        "is_hit": pd.array([True, False, None], "boolean"),
        "reason": ["", "", "one replicate"],
    }
)
PLATES = pd.DataFrame({"plate": ["P2", "P1", "P3"], "verdict": ["pass", "fail", None]})


def controls() -> pd.DataFrame:
    rows = [
        {"plate": plate, "feature": feature, "control": "negcon", "mean": mean}
        for feature, means in (("f", (1.0, 2.0, 4.0)), ("one", (5.0, np.nan, np.nan)))
        for plate, mean in zip(("P1", "P2", "P3"), means, strict=True)
    ]
    rows += [
        {"plate": plate, "feature": "f", "control": "poscon", "z_prime": z} for plate, z in (("P1", 0.2), ("P2", 0.7))
    ]
    rows.append({"plate": "P1", "feature": "f", "control": "poscon", "z_prime": 0.4})
    return pd.DataFrame(rows)


def test_hits_have_the_columns_of_the_page() -> None:
    shown = hits_of(HITS)
    assert list(shown["map"]) == [0.9, 0.5, 0.1]
    assert list(shown["q"]) == [0.01, 0.2, 0.9]
    assert list(shown["distance"]) == [9.0, 3.0, 1.0]
    assert list(shown["unit"]) == ["uM"] * 3
    assert list(shown["criteria"]) == [["activity", "distance"], [], []]
    assert list(shown["nearest"]) == [["actin (0.81)"], [], []]
    assert "viability" not in shown
    assert list(HITS.columns)[-1] == "reason"  # what was given is not changed


def test_a_series_has_a_row_per_dose_with_its_fit_and_what_was_measured() -> None:
    fits = pd.DataFrame({"treatment": ["a"], "feature": ["f"], "ec50": [2.0], "ec50_low": [1.0], "ec50_high": [3.0]})
    fits["slope"] = 1.5
    found = doses_of(fits, HITS, pd.DataFrame())
    assert found[["concentration", "ec50", "low", "high", "hill"]].to_numpy().tolist() == [
        [1.0, 2.0, 1.0, 3.0, 1.5],
        [3.0, 2.0, 1.0, 3.0, 1.5],
    ]
    measured = pd.DataFrame({"treatment": "a", "feature": "f", "concentration": [1.0, 1.0], "value": [7.0, 8.0]})
    assert doses_of(fits, HITS, measured)["value"].tolist()[:2] == [7.0, 8.0]
    assert not len(doses_of(pd.DataFrame(), HITS, measured))
    assert not found["is_linear"].any()
    assert doses_of(fits.assign(concentration_unit="index"), HITS, measured)["is_linear"].all()


def test_curves_have_their_doses_where_hits_have_none() -> None:
    fits = pd.DataFrame({"treatment": ["a"], "feature": ["f"], "ec50": [2.0]})
    hits = pd.DataFrame({"treatment": ["a"], "concentration": [None]})  # all wells of a treatment are replicates
    points = pd.DataFrame({"treatment": "a", "feature": "f", "concentration": [1.0, 3.0], "value": [7.0, 8.0]})
    assert doses_of(fits, hits, points)[["concentration", "value"]].to_numpy().tolist() == [[1.0, 7.0], [3.0, 8.0]]


def test_charts_follow_the_order_of_the_plates_with_limits_of_the_moving_range() -> None:
    failures = pd.DataFrame({"plate": ["P3"], "feature": ["f"], "rule": ["drift"], "evidence": ["it drifts"]})
    found = charts_of(controls(), failures, PLATES)
    assert list(found["plate"]) == ["P2", "P1", "P3"]
    assert list(found["mean"]) == [2.0, 1.0, 4.0]
    sd = (1.0 + 3.0) / 2 / 1.128
    assert found["low"].tolist() == pytest.approx([2.0 - 3 * sd] * 3)
    assert found["high"].tolist() == pytest.approx([2.0 + 3 * sd] * 3)
    assert list(found["signal"]) == [None, None, "it drifts"]
    assert set(found["feature"]) == {"f"}  # of the other there is one point
    assert not len(charts_of(pd.DataFrame(), failures, PLATES))


def test_a_plate_has_the_best_z_prime_of_its_positive_controls() -> None:
    assert plates_of(PLATES, controls())["z_prime"].tolist()[:2] == [0.7, 0.4]
    assert "z_prime" not in plates_of(PLATES, pd.DataFrame())


def test_the_last_method_is_the_recipes() -> None:
    said = {"none": {"kbet": 0.7, "notes": ["few"]}, "sphering": {"kbet": 0.1}, "lost": None}
    found = mixing_of(said | {"tvn": {"kbet": 0.2}})
    assert list(found["method"]) == ["none", "sphering", "tvn"]
    assert list(found["counts"]) == [False, False, True]
    assert list(found["notes"]) == ["few", "", ""]
    assert not len(mixing_of({}))


def test_a_report_says_what_the_tables_come_to() -> None:
    tables = AnalysisTables(
        HITS,
        controls=controls(),
        plates=PLATES,
        failures=pd.DataFrame({"plate": ["P1"], "rule": ["focus"]}),
        variance=pd.DataFrame({"feature": "f", "factor": "batch", "share": [0.5, 0.1], "is_corrected": [False, True]}),
    )
    points = pd.DataFrame({"x": [0.0], "y": [1.0]})
    report = report_of(
        tables,
        experiment="screen",
        analysis="a1",
        recipe="standard-0",
        criteria=HitCriteria.model_validate({"criteria": ["activity", "distance"]}),
        profile_map=ProfileMap(points, (0.4, 0.1)),
        notes=("seven wells have no treatment",),
    )
    assert report.verdict == "warn"
    assert report.reasons == ("1 of 3 plates do not pass", "seven wells have no treatment")
    assert report.counts[0] == ReportCount("Hits", 1, 3)
    assert report.criteria["activity"] == "mAP against the negative controls, FDR 5 %"
    assert report.variance["share"].tolist() == [0.5]
    assert b'"hits":{"rows":3' in encode_report(report)


def test_an_analysis_of_nothing_is_a_report_of_nothing() -> None:
    report = report_of(AnalysisTables(pd.DataFrame()), experiment="e", analysis="", recipe="")
    assert (report.verdict, report.counts[0]) == ("pass", ReportCount("Hits", 0, 0))
    assert b'"hits":{"rows":0}' in encode_report(report)
