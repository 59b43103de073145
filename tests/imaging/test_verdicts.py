"""Quality rules: what is found, in which words, and how it rises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from imaging.rules import Limit, Outlier, Rules
from imaging.typical import Typical
from imaging.verdicts import Finding, judge_outlier, judge_site, verdict_of, verdict_of_plate, worst
from imaging.verdicts import judge_image as judge_by_rules
from imaging.words import say_value, show_number


def image(**changes: Any) -> dict[str, Any]:
    row = {"well": "B03", "site": 1, "channel": "DNA", "state": "arrived", "MinIntensity": 0.1, "MaxIntensity": 0.9}
    return row | changes


def limit(metric: str, **bounds: Any) -> Limit:
    return Limit.model_validate({"metric": metric, **bounds})


def judge_image(row: dict[str, Any], limits: Sequence[Limit] = (), **options: Any) -> list[Finding]:
    return judge_by_rules(row, Rules(tuple(limits), nucleus="DNA"), **options)


def sentences(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(item.level, item.sentence) for item in findings]


def test_saturated_image_warns_with_its_share_and_the_limit():
    found = judge_image(image(PercentSaturated=2.4), [limit("PercentSaturated", warn_above=1, fail_above=5)])
    assert sentences(found) == [("warn", "DNA in B03 site 1: 2.4 % of pixels are saturated (limit 1 %)")]


def test_fail_limit_comes_before_the_warn_limit():
    found = judge_image(image(PercentSaturated=7.25), [limit("PercentSaturated", warn_above=1, fail_above=5)])
    assert sentences(found) == [("fail", "DNA in B03 site 1: 7.25 % of pixels are saturated (limit 5 %)")]


def test_values_on_the_limit_pass():
    limits = [limit("PercentSaturated", warn_above=1), limit("FocusScore", warn_below=0.01)]
    assert judge_image(image(PercentSaturated=1.0, FocusScore=0.01), limits) == []


@pytest.mark.parametrize(
    ("bounds", "level", "bound"),
    [
        ({"warn_below": 0.01}, "warn", "at least 0.01"),
        ({"warn_below": 0.01, "fail_below": 0.005}, "fail", "at least 0.005"),
    ],
)
def test_low_focus_is_found(bounds, level, bound):
    found = judge_image(image(FocusScore=0.0012345), [limit("FocusScore", **bounds)])
    assert sentences(found) == [(level, f"DNA in B03 site 1: the focus score is 0.00123 ({bound})")]


def test_metrics_without_words_of_their_own_are_named():
    found = judge_image(image(MADIntensity=0.7), [limit("MADIntensity", fail_above=0.5)])
    assert sentences(found) == [("fail", "DNA in B03 site 1: MADIntensity is 0.7 (limit 0.5)")]


def test_limits_of_another_channel_do_not_hold():
    limits = [limit("FocusScore", channel="RNA", fail_below=0.5)]
    assert judge_image(image(FocusScore=0.1), limits) == []
    assert len(judge_image(image(FocusScore=0.1, channel="RNA"), limits)) == 1


def test_saturation_has_a_limit_of_its_own_until_one_is_declared():
    assert sentences(judge_image(image(PercentSaturated=1.5)))[0][0] == "warn"
    assert judge_image(image(PercentSaturated=1.5), [limit("PercentSaturated", warn_above=2)]) == []
    assert judge_image(image(PercentSaturated=1.5), [limit("PercentSaturated", channel="RNA", warn_above=2)]) != []


def test_undefined_metrics_are_not_judged():
    assert judge_image(image(FocusScore=None), [limit("FocusScore", fail_below=0.5)]) == []


def test_image_of_one_value_is_empty_and_fails_whatever_the_limits():
    found = judge_image(image(MinIntensity=0.0, MaxIntensity=0.0, FocusScore=0.0), [limit("FocusScore", warn_below=1)])
    assert sentences(found) == [("fail", "DNA in B03 site 1: all pixels have the same value")]


def test_image_of_one_value_at_the_full_scale_is_saturated():
    found = judge_image(image(MinIntensity=1.0, MaxIntensity=1.0, PercentSaturated=100.0))
    assert [(item.level, item.kind) for item in found] == [("fail", "saturated images")]
    assert sentences(found) == [("fail", "DNA in B03 site 1: all pixels are saturated")]


def test_image_of_one_value_fails_in_an_empty_well_too():
    flat = image(MinIntensity=0.1, MaxIntensity=0.1, EmptyImage=1.0)
    assert [item.level for item in judge_image(flat, is_empty_well=True)] == ["fail"]


def test_image_with_nothing_in_it_warns_and_that_is_all_that_is_said_of_it():
    found = judge_image(image(EmptyImage=1.0, FocusScore=0.0), [limit("FocusScore", warn_below=1)])
    words = "the image is empty: nothing stands out from its background"
    assert sentences(found) == [("warn", f"DNA in B03 site 1: {words}")]
    assert judge_image(image(EmptyImage=0.0)) == []


def test_nothing_is_expected_in_an_empty_well_but_its_other_limits_hold():
    found = judge_image(image(EmptyImage=1.0, PercentSaturated=3.0), is_empty_well=True)
    assert sentences(found) == [("warn", "DNA in B03 site 1: 3 % of pixels are saturated (limit 1 %)")]


def test_a_low_power_slope_is_explained():
    found = judge_image(image(PowerLogLogSlope=-3.12), [limit("PowerLogLogSlope", warn_below=-2.5, warn_above=-0.5)])
    words = "the power slope is -3.12 (at least -2.5): the image looks blurred, or holds bright debris"
    assert sentences(found) == [("warn", f"DNA in B03 site 1: {words}")]
    high = judge_image(image(PowerLogLogSlope=-0.1), [limit("PowerLogLogSlope", warn_above=-0.5)])
    assert sentences(high) == [("warn", "DNA in B03 site 1: the power slope is -0.1 (limit -0.5)")]


@pytest.mark.parametrize(
    ("state", "words"), [("missing", "the image did not come"), ("faulted", "the image cannot be read")]
)
def test_images_that_are_not_there_warn(state, words):
    assert sentences(judge_image(image(state=state))) == [("warn", f"DNA in B03 site 1: {words}")]


def test_sites_are_judged_by_their_state():
    assert judge_site("B03", 1, "done", nuclei_count=5) == []
    failed = judge_site("B03", 1, "failed", nuclei_count=None, reason="the worker ran out of memory")
    assert sentences(failed) == [("fail", "B03 site 1: the site could not be processed: the worker ran out of memory")]
    missing = judge_site("B03", 1, "missing", nuclei_count=None)
    assert sentences(missing) == [("fail", "B03 site 1: no image of the site came")]


def test_site_without_nuclei_warns_unless_none_are_expected():
    assert sentences(judge_site("B03", 1, "done", nuclei_count=0)) == [("warn", "B03 site 1: no nuclei were found")]
    assert judge_site("B03", 1, "done", nuclei_count=0, is_empty_well=True) == []
    assert judge_site("B03", 1, "done", nuclei_count=None) == []


def test_worst_verdict_wins():
    assert worst([]) == "pass"
    assert worst(["warn", "pass"]) == "warn"
    assert worst(["warn", "fail", "pass"]) == "fail"


def test_verdict_lists_every_reason_the_worst_first():
    found = verdict_of([Finding("warn", "k", "x", "1"), Finding("fail", "k", "y", "2"), Finding("warn", "k", "z", "3")])
    assert found == {"verdict": "fail", "reasons": ["y: 2", "x: 1", "z: 3"]}
    assert verdict_of([]) == {"verdict": "pass", "reasons": []}


def test_reasons_of_a_plate_are_counted_by_kind_and_the_worst_come_first():
    findings = [
        Finding("warn", "missing images", "DNA in A01 site 1", "the image did not come"),
        Finding("warn", "missing images", "RNA in A01 site 1", "the image did not come"),
        Finding("fail", "empty images", "DNA in A02 site 1", "all pixels have the same value"),
    ]
    assert verdict_of_plate(findings) == {
        "verdict": "fail",
        "reasons": [
            "DNA in A02 site 1: all pixels have the same value",
            "2 missing images, first DNA in A01 site 1: the image did not come",
        ],
    }


def outlier(metric: str, **limits: Any) -> Outlier:
    return Outlier.model_validate({"metric": metric, **limits})


WELLS = Typical(48, -2.1, 0.125)


def unlike(value: float | None, typical: Typical = WELLS, metric: str = "PowerLogLogSlope", **limits: Any) -> Any:
    """Level and sentence of what a rule finds."""
    found = judge_outlier(outlier(metric, **limits), value, typical, "DNA in B03 site 1")
    return found and (found.level, found.sentence)


def test_value_unlike_the_wells_says_how_far_it_is_and_what_is_typical():
    assert unlike(-3.25, warn_z=4, fail_z=8) == (
        "fail",
        "DNA in B03 site 1: the power slope is -3.25, 9.2 robust standard deviations below the plate's wells "
        "(typical -2.1, limit 8): the image looks blurred, or holds bright debris",
    )
    level, words = unlike(-1.5, warn_z=4, fail_z=8)
    assert level == "warn"
    assert words.endswith(
        "the power slope is -1.5, 4.8 robust standard deviations above the plate's wells (typical -2.1, limit 4)"
    )


def test_value_on_the_limit_is_like_the_others():
    assert unlike(-2.1 - 4 * 0.125, warn_z=4) is None
    assert unlike(-2.1 - 4.01 * 0.125, warn_z=4) is not None


@pytest.mark.parametrize(("side", "low", "high"), [("low", True, False), ("high", False, True), ("both", True, True)])
def test_only_the_side_that_is_wrong_is_found(side, low, high):
    found = [unlike(value, warn_z=4, side=side) is not None for value in (-5.0, 5.0)]
    assert found == [low, high]


def test_a_difference_too_small_to_matter_is_none():
    assert unlike(-3.0, warn_z=4, min_difference=1.0) is None
    assert unlike(-3.1, warn_z=4, min_difference=1.0) is not None


def test_without_a_value_or_a_spread_nothing_is_found():
    assert unlike(None, warn_z=4) is None
    assert unlike(-9.0, Typical(48, -2.1, None), warn_z=4) is None
    assert unlike(-9.0, Typical(0, None, None), warn_z=4) is None


def test_plate_unlike_earlier_plates_is_told_in_its_own_words():
    assert unlike(-3.25, Typical(12, -2.1, 0.125), against="history", warn_z=4)[1] == (
        "DNA in B03 site 1: the power slope is -3.25 in the median well, 9.2 robust standard deviations below the 12 "
        "earlier plates (typical -2.1, limit 4): the plate looks blurred, or holds bright debris"
    )


def test_counts_are_told_as_counts():
    few = unlike(1, Typical(48, 1180.5, 100), "nuclei_count", warn_z=4)[1]
    assert few.endswith(
        "1 nucleus was found, 11.8 robust standard deviations below the plate's wells (typical 1,180, limit 4)"
    )


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("PercentMaximal", "12.5 % of pixels have the image's highest value, 10.5"),
        ("MADIntensity", "MADIntensity is 12.5, 10.5"),
        ("cells_count", "12.5 cells were found, 10.5"),
    ],
)
def test_metrics_have_words(metric, words):
    assert words in unlike(12.5, Typical(9, 2, 1), metric, warn_z=4)[1]


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("LocalFocusScore_20", "the local focus score in tiles of 20 px is 0.0123"),
        ("Correlation_5", "the correlation of pixels 5 px apart is 0.0123"),
        ("BackgroundGradient", "the background varies by 0.0123 % over the image"),
        ("PercentDebris", "0.0123 % of the image is debris"),
        ("BackgroundLevel", "the background level is 0.0123"),
        ("ThresholdOtsu_2W", "ThresholdOtsu_2W is 0.0123"),
        ("Correlation", "Correlation is 0.0123"),
    ],
)
def test_families_of_metrics_have_words(metric, words):
    assert say_value(metric, 0.01234) == words


@pytest.mark.parametrize(
    ("value", "shown"), [(0.00012, "0.00012"), (999.9, "1,000"), (12345.6, "12,346"), (-0.5, "-0.5")]
)
def test_numbers_are_short(value, shown):
    assert show_number(value) == shown


def test_findings_of_a_plate_are_counted_by_rule_and_level():
    rule = outlier("nuclei_count", warn_z=4, fail_z=8)
    found = [judge_outlier(rule, value, Typical(48, 100, 5), f"A{value:02d} site 1") for value in (1, 2, 70)]
    first, second = verdict_of_plate([item for item in found if item])["reasons"]
    assert first.startswith("2 sites unlike the plate's wells in nuclei_count, first A01 site 1: 1 nucleus was found, ")
    assert second.startswith("A70 site 1: 70 nuclei were found, ")
