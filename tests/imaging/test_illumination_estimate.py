"""A plate's own field from its thumbnails: a function of the set of its sites."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from imaging.illumination_estimate import estimate_plate, half_of
from imaging.store import Store, open_store
from imaging.zarr_site import write_site
from kernels.fields import background_field, compare_fields, mean_field, weigh_background
from tests.kernels.simulated_sites import draw_site, make_field

SIDE = 96
FIELD = make_field("vignette", SIDE)
ZARR = "images/e/p.zarr"
NUMBERS = itertools.count()


@pytest.fixture
def store() -> Store:
    return open_store(f"memory://estimate-{next(NUMBERS)}")


def put_site(store: Store, number: int, *, channels: tuple[str, ...] = ("DNA", "ER"), side: int = SIDE) -> dict:
    """Write one site's OME-Zarr; return what its manifest says of it."""
    rng = np.random.default_rng(number)
    planes = np.stack([draw_site(rng, make_field("vignette", side), cells=6) for _ in channels])
    group = f"A/1/s{number}x0"
    described = [{"name": name, "color": "FFFFFF", "full_scale": 65535} for name in channels]
    write_site(
        store,
        f"{ZARR}/{group}",
        planes=planes,
        thumbnails=planes,
        factor=1,
        labels={},
        channels=described,
        pixel_size_um=None,
    )
    images = [{"channel": name, "height": side, "width": side} for name in channels]
    return {"well": "A01", "site": number, "images": images, "zarr": {"group": group}, "planes": planes}


def estimate(store: Store, manifests: list[dict[str, Any]]) -> dict[Any, Any]:
    return dict(estimate_plate(store, ZARR, manifests, ["DNA", "ER", "Mito"]).channels)


def test_both_estimates_of_each_channel_come_from_whole_sums(store: Store) -> None:
    sites = [put_site(store, number) for number in range(1, 9)]
    found = estimate(store, sites)
    assert set(found) == {(variant, channel) for variant in ("robust", "mean") for channel in ("DNA", "ER")}
    planes = [site["planes"][1] for site in sites]
    weighed = [weigh_background(plane) for plane in planes]
    sums, counts = (np.sum(part, axis=0, dtype=np.uint64) for part in (weighed, [item > 0 for item in weighed]))
    assert np.array_equal(found["robust", "ER"].values, background_field(sums, counts))
    assert np.array_equal(found["mean", "ER"].values, mean_field(np.sum(planes, axis=0, dtype=np.uint64)))
    assert [item.n_sites for item in found.values()] == [8] * 4


def test_the_order_of_sites_changes_no_bit(store: Store) -> None:
    sites = [put_site(store, number) for number in range(1, 8)]
    first, second = estimate(store, sites), estimate(store, sites[::-1])
    for key, found in first.items():
        assert np.array_equal(found.values, second[key].values)
        assert found.error_percent == second[key].error_percent


def test_the_error_is_half_the_greatest_difference_of_two_halves(store: Store) -> None:
    sites = [put_site(store, number) for number in range(1, 13)]
    halves = [[site for site in sites if half_of("A01", site["site"]) == half] for half in (0, 1)]
    assert all(halves)
    first, second = (estimate(store, half)["robust", "DNA"].values for half in halves)
    expected = 50 * max(compare_fields(first, second), compare_fields(second, first))
    found = estimate(store, sites)["robust", "DNA"]
    assert found.error_percent == pytest.approx(expected)
    assert compare_fields(found.values, FIELD) < 3 * expected / 100
    assert estimate(store, halves[0])["robust", "DNA"].error_percent is None


def test_a_site_belongs_to_one_half_whatever_other_sites_there_are() -> None:
    halves = [half_of(well, site) for well in ("A01", "B03", "AF48") for site in range(1, 101)]
    assert 100 < sum(halves) < 200
    assert half_of("A01", 1) == halves[0]


def test_sites_that_cannot_be_used_are_left_out(store: Store) -> None:
    good = [put_site(store, number) for number in (1, 2, 3)]
    smaller, alone = put_site(store, 4, side=SIDE - 8), put_site(store, 5, channels=("ER",))
    lost = put_site(store, 6)
    store.delete(f"{ZARR}/{lost['zarr']['group']}/1/c/0/0/0")
    not_kept = {**put_site(store, 7), "zarr": None}
    crossed = {**put_site(store, 8), "images": good[0]["images"][:1]}
    found = estimate(store, [*good, smaller, alone, lost, not_kept, crossed])
    assert (found["robust", "DNA"].n_sites, found["robust", "ER"].n_sites) == (3, 4)
    assert np.array_equal(found["robust", "DNA"].values, estimate(store, good)["robust", "DNA"].values)


def test_a_site_without_background_counts_for_the_mean_only(store: Store) -> None:
    sites = [put_site(store, number) for number in (1, 2)]
    black = {"DNA": np.zeros((SIDE, SIDE), np.uint16)}
    described = [{"name": "DNA", "color": "FFFFFF", "full_scale": 65535}]
    thumbnails = black["DNA"][None]
    write_site(
        store, f"{ZARR}/A/1/s9x0", planes=thumbnails, thumbnails=thumbnails, factor=1, labels={}, channels=described,
        pixel_size_um=None,
    )  # fmt: skip
    sites.append({"well": "A01", "site": 9, "images": sites[0]["images"][:1], "zarr": {"group": "A/1/s9x0"}})
    found = estimate(store, sites)
    assert (found["robust", "DNA"].n_sites, found["mean", "DNA"].n_sites) == (2, 3)


def test_without_thumbnails_there_is_no_estimate(store: Store) -> None:
    assert estimate(store, []) == {}
    assert estimate(store, [{**put_site(store, 1), "zarr": None}]) == {}
    gone = put_site(store, 2)
    store.delete(f"{ZARR}/{gone['zarr']['group']}/1/zarr.json")
    assert estimate(store, [gone]) == {}
