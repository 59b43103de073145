"""A whole plate judged: against its own wells and against earlier plates."""

from __future__ import annotations

import random
from typing import Any

import pytest

from imaging.aggregates import SiteRows
from imaging.judging import JudgedPlate, judge_plate
from imaging.rules import COUNTS, IMAGE_METRICS, Outlier, Rules
from imaging.typical import History, Typical

FOCUS = "PowerLogLogSlope"


def outlier(metric: str = FOCUS, **more: Any) -> Outlier:
    return Outlier.model_validate({"metric": metric, "warn_z": 4, "fail_z": 8, **more})


def site(well: str, slope: float | None = -2.0, *, number: int = 1, **more: Any) -> SiteRows:
    """A measured site of one image; ``more`` are columns of the image, or of the site."""
    place = {"well": well, "site": number, "time_point": 1}
    is_empty = more.pop("is_empty_well", False)
    own = {name: more.pop(name) for name in ("state", "nuclei_count") if name in more}
    image = place | {"channel": "DNA", "state": "arrived", FOCUS: slope, "MinIntensity": 0.0, "MaxIntensity": 0.5}
    row = place | {"state": "done", "nuclei_count": 100, "cells_count": None, "channels_missing": []} | own
    return SiteRows(row, (image | more,), is_empty_well=is_empty)


def plate(n: int = 12, **changed: float) -> list[SiteRows]:
    """Wells A01, A02, ... of slopes around -2.0, the median of 12, with a robust standard deviation of 0.14826."""
    slopes = {f"A{i + 1:02d}": -2.0 + 0.1 * (i % 3 - 1) for i in range(n)} | changed
    return [site(well, slope) for well, slope in slopes.items()]


def judged(sites: list[SiteRows], *rules: Outlier, history: History | None = None) -> JudgedPlate:
    return judge_plate(sites, Rules((), rules, nucleus="DNA"), history)


def found(result: JudgedPlate) -> dict[str, str]:
    """Verdicts of wells that do not pass."""
    return {item.site["well"]: item.site["verdict"] for item in result.sites if item.site["verdict"] != "pass"}


def metric_row(result: JudgedPlate, metric: str = FOCUS, channel: str | None = "DNA") -> dict[str, Any]:
    (row,) = [row for row in result.metrics if (row["channel"], row["metric"]) == (channel, metric)]
    return row


def test_an_image_unlike_the_plates_wells_is_found_with_its_site():
    result = judged(plate(A05=-4.0), outlier())
    assert found(result) == {"A05": "fail"}
    reason = "DNA in A05 site 1: the power slope is -4, 13.5 robust standard deviations below the plate's wells"
    (image,) = result.sites[4].images
    assert image["verdict"] == "fail"
    assert image["reasons"] == result.sites[4].site["reasons"]
    assert image["reasons"][0].startswith(reason)
    assert [item.sentence for item in result.all_findings] == image["reasons"]


def test_rows_are_not_changed_but_made_anew():
    sites = plate(A05=-4.0)
    judged(sites, outlier())
    assert all("verdict" not in item.site and "verdict" not in item.images[0] for item in sites)


def test_the_order_of_sites_does_not_matter():
    sites = plate(A05=-4.0)
    mixed = random.Random(1).sample(sites, len(sites))
    one, two = judged(sites, outlier()), judged(mixed, outlier())
    assert sorted(map(str, one.sites)) == sorted(map(str, two.sites))
    assert one.metrics == two.metrics


def test_a_well_stands_for_the_median_of_its_images():
    sites = [*plate(), *(site("A01", slope, number=number) for number, slope in ((2, -9.0), (3, -9.0), (4, -1.9)))]
    row = metric_row(judged(sites))
    assert row["n_wells"] == 12
    assert row["median"] == -2.0
    assert row["robust_sd"] == pytest.approx(1.4826 * 0.1)


def test_below_eight_wells_nothing_is_judged_and_it_is_said():
    result = judged(plate(7, A05=-9.0), outlier())
    assert found(result) == {}
    assert result.not_judged == (
        "PowerLogLogSlope of DNA against the plate's wells: 7 wells have a value, 8 are needed",
    )
    assert found(judged(plate(8, A05=-9.0), outlier())) == {"A05": "fail"}
    assert judged(plate(8), outlier()).not_judged == ()


def test_wells_that_are_all_the_same_have_no_outlier_and_it_is_said():
    result = judged([site(f"A{i:02d}") for i in range(1, 10)], outlier())
    assert result.not_judged == ("PowerLogLogSlope of DNA against the plate's wells: all wells have the same value",)


def test_empty_wells_are_neither_judged_nor_typical():
    sites = [site(f"A{i + 1:02d}", -2.0 + 0.1 * (i % 3), nuclei_count=100 + i) for i in range(8)]
    sites += [site(f"B{i:02d}", -9.0, is_empty_well=True, nuclei_count=0) for i in range(1, 12)]
    result = judged(sites, outlier(), outlier("nuclei_count"))
    assert found(result) == {}
    assert metric_row(result)["n_wells"] == 8


@pytest.mark.parametrize("empty", [{"MaxIntensity": 0.0}, {"EmptyImage": 1.0}])
def test_images_without_content_are_not_typical_and_have_one_reason(empty):
    sites = [*plate(8), *(site(f"B{i:02d}", -9.0, **empty) for i in range(1, 12))]
    result = judged(sites, outlier())
    assert metric_row(result)["n_wells"] == 8
    assert {item.site["well"]: len(item.site["reasons"]) for item in result.sites[8:]} == {
        f"B{i:02d}": 1 for i in range(1, 12)
    }
    assert found(result).keys() == {f"B{i:02d}" for i in range(1, 12)}


def test_a_state_that_is_typical_of_the_plate_is_no_outlier():
    assert found(judged([site(item.site["well"], item.images[0][FOCUS] - 2) for item in plate()], outlier())) == {}


def test_counts_are_judged_per_site():
    sites = [site(f"A{i + 1:02d}", nuclei_count=100 + i) for i in range(12)]
    result = judged([*sites, site("B01", nuclei_count=20)], outlier("nuclei_count", side="low"))
    assert found(result) == {"B01": "fail"}
    assert result.sites[-1].site["reasons"][0].startswith("B01 site 1: 20 nuclei were found, ")
    assert result.sites[-1].images[0]["verdict"] == "pass"


def test_sites_without_values_are_left_out():
    sites = [*plate(8), site("B01", None, nuclei_count=None), site("B02", None, state="failed", nuclei_count=None)]
    result = judged(sites, outlier(), outlier("nuclei_count"))
    assert metric_row(result)["n_wells"] == 8
    assert found(result) == {"B02": "fail"}
    assert result.sites[-1].images[0]["verdict"] is None


def test_sites_that_are_waited_for_have_no_verdict_until_something_is_wrong():
    awaited = site("B01", None, state="waiting", nuclei_count=None)
    awaited.images[0]["state"] = "waiting"
    faulted = site("B02", None, state="waiting", nuclei_count=None)
    faulted.images[0]["state"] = "faulted"
    arrived = site("B03", None, state="waiting", nuclei_count=None)
    first, second, third = judged([awaited, faulted, arrived], outlier()).sites
    for item in (first, third):
        assert (item.site["verdict"], item.site["reasons"], item.images[0]["verdict"]) == (None, [], None)
    assert (second.site["verdict"], second.images[0]["verdict"]) == ("warn", "warn")
    assert second.site["reasons"] == ["DNA in B02 site 1: the image cannot be read"]


EARLIER = History((("P0", "r0"),), {("DNA", FOCUS): Typical(5, -1.0, 0.1), (None, "nuclei_count"): Typical(4, 9, 1)})


def test_a_plate_unlike_earlier_plates_is_found_as_a_whole():
    result = judged(plate(), outlier(against="history"), history=EARLIER)
    (finding,) = result.findings
    assert finding.level == "fail"
    assert finding.sentence == (
        "DNA of the plate: the power slope is -2 in the median well, 10.0 robust standard deviations below the "
        "5 earlier plates (typical -1, limit 8): the plate looks blurred, or holds bright debris"
    )
    assert result.all_findings == [finding]
    assert found(result) == {}


def test_with_fewer_than_five_earlier_plates_nothing_is_judged_and_it_is_said():
    result = judged(plate(), outlier("nuclei_count", against="history"), history=EARLIER)
    assert result.findings == ()
    reason = "the number of nuclei against earlier plates: 4 earlier plates have a value, 5 are needed"
    assert result.not_judged == (reason,)


def test_without_a_history_to_compare_with_its_rules_are_left_to_the_publication():
    result = judged(plate(), outlier(against="history"))
    assert (result.findings, result.not_judged) == ((), ())


def test_metrics_have_a_row_each_with_what_is_typical_of_wells_and_earlier_plates():
    result = judged(plate(), history=EARLIER)
    assert len(result.metrics) == len(IMAGE_METRICS) + len(COUNTS)
    row = metric_row(result)
    assert row["robust_z"] == pytest.approx(-10)
    assert (row["history_plates"], row["history_median"], row["history_robust_sd"]) == (5, -1.0, 0.1)
    assert row["reason"] is None
    nuclei = metric_row(result, "nuclei_count", None)
    assert (nuclei["median"], nuclei["robust_z"], nuclei["history_median"]) == (100, None, 9)
    assert nuclei["reason"] == "4 earlier plates have a value, 5 are needed"
    unknown = metric_row(result, "FocusScore")
    assert (unknown["n_wells"], unknown["median"], unknown["history_plates"]) == (0, None, 0)
    assert unknown["reason"] == "no earlier plate has a value, 5 are needed"


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        (Typical(6, -1.0, None), "all earlier plates have the same value"),
        (Typical(6, -1.0, 0.1), "no well has a value"),
        (Typical(1, -1.0, None), "1 earlier plate has a value, 5 are needed"),
    ],
)
def test_a_metric_without_z_says_why(history, reason):
    result = judged([site("A01", None)], history=History((), {("DNA", FOCUS): history}))
    row = metric_row(result)
    assert (row["robust_z"], row["reason"]) == (None, reason)
