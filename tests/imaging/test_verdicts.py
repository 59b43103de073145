"""Quality rules: what is found, in which words, and how it rises."""

from __future__ import annotations

from typing import Any

import pytest

from imaging.experiment import Limit
from imaging.verdicts import Finding, judge_image, judge_site, verdict_of, verdict_of_plate, worst


def image(**changes: Any) -> dict[str, Any]:
    row = {"well": "B03", "site": 1, "channel": "DNA", "state": "arrived", "MinIntensity": 0.1, "MaxIntensity": 0.9}
    return row | changes


def limit(metric: str, **bounds: Any) -> Limit:
    return Limit.model_validate({"metric": metric, **bounds})


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
    found = judge_image(image(MeanIntensity=0.7), [limit("MeanIntensity", fail_above=0.5)])
    assert sentences(found) == [("fail", "DNA in B03 site 1: MeanIntensity is 0.7 (limit 0.5)")]


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


def test_verdict_lists_every_reason_in_order():
    found = verdict_of([Finding("warn", "k", "x", "one"), Finding("fail", "k", "y", "two")])
    assert found == {"verdict": "fail", "reasons": ["x: one", "y: two"]}
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
