"""Rows of images, sites, wells and plates from manifests."""

from __future__ import annotations

from collections import Counter

import pytest

from imaging.aggregates import (
    SiteResult,
    SiteRows,
    aggregate_plate,
    aggregate_site,
    aggregate_well,
    count_states,
    sort_sites,
    sum_known,
)
from imaging.judging import judge_plate
from imaging.platemaps import PlateMapRow
from imaging.rules import Limit, Rules
from tests.imaging import small_screen
from tests.imaging.small_screen import CHANNELS

SATURATED = [Limit.model_validate({"metric": "PercentSaturated", "warn_above": 0.1})]


def done(well: str = "A01", site: int = 1, **changes) -> SiteResult:
    return SiteResult(well, site, "done", small_screen.manifest(well, site, **changes))


def rows_of(result: SiteResult, limits=(), **options) -> SiteRows:
    return judge_plate([aggregate_site(result, CHANNELS, **options)], Rules(tuple(limits))).sites[0]


def test_images_of_a_measured_site_have_their_file_and_metrics():
    image = rows_of(done()).images[1]
    assert (image["channel"], image["state"], image["name"]) == ("RNA", "arrived", "A01_s1_RNA.tif")
    assert (image["height"], image["width"], image["dtype"], image["size_bytes"]) == (32, 31, "uint16", 2048)
    assert (image["digest"], image["MedianIntensity"], image["PowerLogLogSlope"]) == ("A011RNA", 0.03, None)
    assert (image["verdict"], image["reasons"]) == ("pass", [])


def test_what_was_not_measured_is_said_of_its_image():
    result = done()
    result.manifest["image_metrics"][1]["not_measured"] = ["PowerLogLogSlope: the image is too small"]
    dna, rna = rows_of(result).images
    assert (dna["not_measured"], rna["not_measured"]) == ([], ["PowerLogLogSlope: the image is too small"])


def test_findings_of_images_rise_to_their_site_and_well():
    site = rows_of(done(), SATURATED)
    assert [image["verdict"] for image in site.images] == ["warn", "warn"]
    assert site.images[0]["reasons"] == ["DNA in A01 site 1: 0.25 % of pixels are saturated (limit 0.1 %)"]
    assert site.site["verdict"] == "warn"
    assert site.site["reasons"] == [reason for image in site.images for reason in image["reasons"]]
    well = aggregate_well("A01", [rows_of(done(site=2)), site], None)
    assert (well["verdict"], well["reasons"]) == ("warn", site.site["reasons"])


def test_channel_without_image_is_missing_or_faulted():
    result = SiteResult("A01", 1, "done", small_screen.manifest("A01", 1, missing=["RNA"]))
    assert [image["state"] for image in rows_of(result).images] == ["arrived", "missing"]
    assert rows_of(result).site["channels_missing"] == ["RNA"]
    at_fault = SiteResult("A01", 1, "done", result.manifest, faulted=frozenset({"RNA"}))
    assert rows_of(at_fault).images[1]["state"] == "faulted"
    assert rows_of(at_fault).site["reasons"] == ["RNA in A01 site 1: the image cannot be read"]


def test_an_image_without_any_metric_says_why():
    result = SiteResult("A01", 1, "done", small_screen.manifest("A01", 1, missing=["RNA"]))
    at_fault = SiteResult("A01", 1, "done", result.manifest, faulted=frozenset({"RNA"}))
    assert [image["not_measured"] for image in rows_of(result).images] == [[], ["the image did not come"]]
    assert rows_of(at_fault).images[1]["not_measured"] == ["the image cannot be read"]


def test_replaced_image_has_arrived_although_an_earlier_version_was_at_fault():
    result = SiteResult("A01", 1, "done", small_screen.manifest("A01", 1), faulted=frozenset({"RNA"}))
    assert rows_of(result).images[1]["state"] == "arrived"


def test_failed_site_fails_with_its_reason_and_its_images_have_no_verdict():
    rows = rows_of(SiteResult("A01", 1, "failed", reason="out of memory", missing=frozenset({"RNA"})))
    assert [(image["state"], image["verdict"]) for image in rows.images] == [("arrived", None), ("missing", "warn")]
    assert (rows.site["state"], rows.site["verdict"]) == ("failed", "fail")
    assert rows.site["reasons"] == [
        "A01 site 1: the site could not be processed: out of memory",
        "RNA in A01 site 1: the image did not come",
    ]
    assert (rows.site["nuclei_count"], rows.site["channels_missing"]) == (None, ["RNA"])


def test_missing_site_has_one_reason_and_not_one_per_channel():
    rows = rows_of(SiteResult("A01", 1, "missing", faulted=frozenset({"DNA"})))
    assert [image["state"] for image in rows.images] == ["faulted", "missing"]
    assert rows.site["reasons"] == ["A01 site 1: no image of the site came"]


def test_no_nuclei_are_fine_where_the_plate_map_says_empty():
    bare = done(nuclei=0)
    assert rows_of(bare).site["verdict"] == "warn"
    assert rows_of(bare, is_empty_well=True).site["verdict"] == "pass"


def test_well_sums_its_sites_and_takes_what_the_plate_map_says():
    sites = [rows_of(done(site=1, nuclei=3)), rows_of(done(site=2, nuclei=4)), rows_of(SiteResult("A01", 3, "failed"))]
    well = aggregate_well("AB07", sites, PlateMapRow("AB07", "taxol", 0.5, "uM", "poscon"))
    assert (well["well"], well["row"], well["column"]) == ("AB07", "AB", 7)
    assert (well["treatment"], well["concentration"], well["concentration_unit"]) == ("taxol", 0.5, "uM")
    assert (well["control"], well["sites_expected"], well["sites_done"]) == ("poscon", 3, 2)
    assert (well["nuclei_count"], well["cells_count"]) == (7, 7)
    unmapped = aggregate_well("A01", sites, None)
    assert [unmapped[name] for name in ("treatment", "concentration", "concentration_unit", "control")] == [None] * 4


def test_well_without_measured_sites_has_no_count():
    assert aggregate_well("A01", [rows_of(SiteResult("A01", 1, "failed"))], None)["nuclei_count"] is None
    assert sum_known([0, None]) == 0


def test_plate_counts_every_image_and_site_once():
    sites = [
        rows_of(done("A01")),
        rows_of(done("A02", missing=["RNA"])),
        rows_of(SiteResult("A03", 1, "missing", faulted=frozenset({"DNA"}))),
        rows_of(SiteResult("B01", 1, "failed", reason="x")),
    ]
    counts = sum((count_states(site) for site in sites), Counter())
    wells = [aggregate_well(site.site["well"], [site], None) for site in sites]
    findings = [item for site in sites for item in site.findings]
    plate = aggregate_plate(counts, wells, findings, is_declared=False)
    images = [plate[f"images_{name}"] for name in ("expected", "arrived", "faulted", "missing")]
    assert images == [8, 5, 1, 2]
    assert [plate[f"sites_{name}"] for name in ("expected", "done", "failed", "missing")] == [4, 2, 1, 1]
    assert (plate["status"], plate["is_declared"], plate["verdict"]) == ("with-missing", False, "fail")
    assert (plate["nuclei_count"], plate["cells_count"], plate["not_judged"]) == (6, 6, [])
    assert plate["reasons"][0] == "A03 site 1: no image of the site came"


@pytest.mark.parametrize(
    ("sites", "status"),
    [
        ([done()], "complete"),
        ([done(missing=["RNA"])], "with-missing"),
        ([done(), SiteResult("A02", 1, "failed")], "with-missing"),
    ],
    ids=["all there", "an image missing", "a site failed"],
)
def test_plate_is_complete_only_with_every_image_and_site(sites, status):
    counts = sum((count_states(rows_of(site)) for site in sites), Counter())
    assert aggregate_plate(counts, [], [], is_declared=True)["status"] == status


def test_sites_come_in_plate_order():
    places = [("AA01", 1), ("B10", 1), ("B02", 2), ("B02", 1), ("A01", 10), ("A01", 9)]
    ordered = sort_sites(SiteResult(well, site, "missing") for well, site in places)
    assert [(item.well, item.site) for item in ordered] == list(reversed(places))
