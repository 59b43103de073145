"""One plate under two names: equal images, equal looks; and the portraits that tell."""

from __future__ import annotations

from typing import Any

from imaging.names import digest_of
from imaging.store import Store
from imaging.suspicions.portrait import (
    DIGESTS,
    expect_from,
    least_digests,
    list_portraits,
    make_portrait,
    measure_wells,
    portrait_key,
    write_portrait,
)
from imaging.suspicions.twins import suspect_acquisitions, suspect_same_images, suspect_same_look
from tests.imaging import small_screen
from tests.imaging.small_screen import manifest, plate_map


def digest(plate: int, image: int) -> str:
    """A digest as evenly spread as a hash."""
    return digest_of(f"{plate}/{image}".encode())[:12]


def portrait(name: str, digests: list[str], looks: dict[str, str] | None = None, barcode: str = "") -> dict[str, Any]:
    return {"plate": name, "barcode": barcode or name, "digests": sorted(digests)[:DIGESTS], "looks": looks or {}}


def images(plate: int, start: int = 0, stop: int = 400) -> list[str]:
    return [digest(plate, image) for image in range(start, stop)]


def test_a_plate_with_the_same_images_is_named_with_their_share() -> None:
    own, others = portrait("P2", images(1)), [portrait("P1", images(1)), portrait("P0", images(0))]
    found = suspect_same_images(own, others, 0.25)
    assert found is not None
    assert (found.kind, found.points_to, found.score, found.threshold) == ("same images", "P1", 1.0, 0.25)
    assert found.evidence == (
        "64 of 64 compared images have the same content as images of P1; was one plate uploaded under two names?"
    )


def test_a_share_of_images_is_estimated_from_a_sample_of_both_plates() -> None:
    half = portrait("P2", [*images(1, 0, 200), *images(2, 0, 200)])
    found = suspect_same_images(half, [portrait("P1", images(1))], 0.25)
    assert found is not None
    assert 0.2 < found.score < 0.5  # 200 of the 600 images that either has


def test_plates_with_images_of_their_own_and_few_images_are_not_suspected() -> None:
    assert suspect_same_images(portrait("P2", images(2)), [portrait("P1", images(1))], 0.25) is None
    few = images(1, 0, 3)
    assert suspect_same_images(portrait("P2", few), [portrait("P1", few)], 0.25) is None
    assert suspect_same_images(portrait("P2", []), [portrait("P1", [])], 0.25) is None


LOOKS = {f"A0{at}-1": f"{at * 0x123456789ABCDEF:016x}" for at in range(1, 10)}


def changed(bits: int) -> dict[str, str]:
    return {site: f"{int(look, 16) ^ ((1 << bits) - 1):016x}" for site, look in LOOKS.items()}


def test_a_plate_of_another_barcode_that_looks_the_same_is_named() -> None:
    found = suspect_same_look(portrait("P2", [], LOOKS), [portrait("P1", [], changed(8))], 0.25)
    assert found is not None
    assert (found.kind, found.points_to, found.score) == ("same look", "P1", 0.125)
    assert found.evidence.startswith("at 9 compared sites the nuclei lie where those of P1 do (12 % of the bits")


def test_unlike_looks_the_same_barcode_and_few_sites_are_not_suspected() -> None:
    assert suspect_same_look(portrait("P2", [], LOOKS), [portrait("P1", [], changed(32))], 0.25) is None
    again = portrait("P1_b", [], LOOKS, barcode="P1")
    assert suspect_same_look(again, [portrait("P1_a", [], LOOKS, barcode="P1")], 0.25) is None
    few = dict(list(LOOKS.items())[:7])
    assert suspect_same_look(portrait("P2", [], few), [portrait("P1", [], LOOKS)], 0.25) is None


def test_several_acquisitions_are_told_where_no_rule_is_declared() -> None:
    own, other = portrait("P1_b", [], barcode="P1"), portrait("P1_a", [], barcode="P1")
    found = suspect_acquisitions(own, [other, portrait("P2", [])], None)
    assert found is not None
    assert (found.kind, found.points_to, found.score) == ("several acquisitions", "P1_a", 2.0)
    assert found.evidence.startswith("P1_a has the barcode P1 too, and experiment.yaml has no current_acquisition")
    assert suspect_acquisitions(own, [other], "first") is None
    assert suspect_acquisitions(own, [portrait("P2", [])], None) is None


# Portraits


def test_flat_images_and_repeated_ones_tell_nothing_of_a_plate() -> None:
    flat, twice, again, kept = (manifest(well, 1, missing=["RNA"]) for well in ("A01", "A02", "A03", "B01"))
    flat["image_metrics"][0] |= {"MinIntensity": 0.1, "MaxIntensity": 0.1}
    for item in (twice, again):
        item["images"][0]["digest"] = "twice"
    assert least_digests([flat, twice, again, kept]) == [kept["images"][0]["digest"][:12]]


def test_wells_are_measured_by_nuclei_per_site_and_the_median_of_each_metric() -> None:
    sites = [manifest("A01", 1, nuclei=3), manifest("A01", 2, nuclei=6), manifest("A02", 1, nuclei=None)]
    assert measure_wells(sites) == {
        "nuclei_count": {"A01": 4.5},
        "DNA MedianIntensity": {"A01": 0.01, "A02": 0.01},
        "RNA MedianIntensity": {"A01": 0.03, "A02": 0.03},
    }


def test_a_portrait_holds_what_each_treatment_gave_as_ranks() -> None:
    sites = [manifest(well, 1, nuclei=at) for at, well in enumerate(small_screen.WELLS)]
    made = make_portrait("P1", sites, plate_map(), {"A01-1": "ff"})
    gave = made["gave"]["nuclei_count"]
    assert gave["negcon|DMSO||"] == 0.1  # the wells with ranks 0 and 0.2
    assert gave["|compound A03|1|uM"] == 0.4
    assert gave["empty|||"] == 1.0
    assert (made["images"], made["looks"]) == (12, {"A01-1": "ff"})


def test_expectations_are_medians_over_plates() -> None:
    given = [{"gave": {"m": {"x": value}}} for value in (0.1, 0.9, 0.2)]
    assert expect_from([*given, {"gave": {"n": {"y": 1.0}}}]) == {"m": {"x": 0.2}, "n": {"y": 1.0}}


def test_a_portrait_s_address_tells_of_map_and_images_and_changes_with_the_sites(store: Store) -> None:
    sites = small_screen.manifests()
    for at, item in enumerate(image for site in sites for image in site["images"]):
        item["digest"] = digest(1, at)
    key = portrait_key("screen", "P1", "v1-0123abcd", sites, plate_map())
    write_portrait(store, key, make_portrait("P1", sites, plate_map(), {}))
    (listed,) = list_portraits(store, "screen")
    assert (listed.plate, listed.recipe, listed.plate_map) == ("P1", "v1-0123abcd", plate_map().digest[:8])
    assert listed.sketch == {digest[:6] for digest in least_digests(sites)[:16]}
    assert portrait_key("screen", "P1", "v1-0123abcd", sites[1:], plate_map()) != key
    assert "/none-" in portrait_key("screen", "P1", "v1-0123abcd", sites, None)
