"""What stands in the way of a field: a publisher that dies, a storage that does not answer."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from imaging.errors import SharedDataError, StoreUnavailableError
from imaging.illumination_shelf import newest_offers
from imaging.measure import measure_planes
from imaging.projection import publish_and_project
from imaging.publication import publish
from imaging.records import field_key, pins_key
from imaging.site import process_site
from imaging.steps import plan_work, site_task
from imaging.store import Store
from imaging.sweep import GRACE_S, sweep
from tests.following import follow
from tests.imaging.lit_plate import FIELDS, SIDE, declare_fields, draw_plate, encode, lit_job
from tests.imaging.small_damage import find_damage, measure_sums, repair


@pytest.fixture(scope="module")
def images() -> dict[str, bytes]:
    return draw_plate()


def test_a_publisher_killed_before_its_offer_costs_later_plates_nothing(
    tmp_path: Path, images: dict[str, bytes]
) -> None:
    job = lit_job(tmp_path, "none", images=images)
    job.ensure_pins()
    for site in job.survey().todo:
        process_site(site_task(job, site), measure_planes)
    assert publish(job) is not None  # killed here: the record counts, nothing is projected
    assert list(newest_offers(job.store, job.experiment)) == []
    for _ in range(2):  # whoever comes next lays the offer, once
        publish_and_project(job)
        (offer,) = newest_offers(job.store, job.experiment)
        assert offer.describe()["plate"] == job.plate


def test_a_storage_that_does_not_answer_freezes_nothing(
    tmp_path: Path, images: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    declare_fields(tmp_path, **FIELDS)
    job = lit_job(tmp_path, "{source: file, file: fields.npz}", images=images)

    original = type(job.raw).read

    def read(store: Store, key: str, *, token: str | None = None) -> bytes:
        if key in images:
            raise StoreUnavailableError("the share is gone")
        return original(store, key, token=token)

    with monkeypatch.context() as patch:
        patch.setattr(type(job.raw), "read", read)
        with pytest.raises(StoreUnavailableError):
            plan_work(job)
    assert not job.survey().records.has_field
    assert plan_work(job).todo[0].field == job.read_frozen()["digest"]


@pytest.mark.parametrize("is_gone", [False, True])
@pytest.mark.parametrize("which", ["pins", "record", "field"])
def test_damage_that_meets_all_sites_is_the_failure_of_none(tmp_path: Path, which: str, *, is_gone: bool) -> None:
    images = {f"A01_w{number}.tif": encode(np.full((SIDE, SIDE), 400, np.uint16)) for number in (1, 2)}
    declare_fields(tmp_path, **FIELDS)
    job = lit_job(tmp_path, "{source: file, file: fields.npz}", images=images)
    (site,) = plan_work(job).todo
    keys = {"pins": pins_key(job.prefix), "record": field_key(job.prefix), "field": job.read_frozen()["field"]["key"]}
    before = job.store.read(keys[which])
    job.store.delete(keys[which])
    if not is_gone:
        job.store.write(keys[which], before[: len(before) // 2])
    image = job.raw.read("A01_w1.tif")
    job.raw.delete("A01_w1.tif")  # no image is read for nothing
    with pytest.raises(SharedDataError) as caught:
        process_site(site_task(job, site), measure_sums)
    assert caught.value.retryable
    assert caught.value.key == keys[which]
    job.store.write(keys[which], before)
    job.raw.write("A01_w1.tif", image)
    (site,) = plan_work(lit_job(tmp_path, "{source: file, file: fields.npz}")).todo
    assert process_site(site_task(job, site), measure_sums).status == "done"


def test_a_field_whose_record_is_lost_is_found_and_comes_out_as_it_was_from_previews_made_again(
    tmp_path: Path, images: dict[str, bytes]
) -> None:
    """The previews' thumbnails are long swept: without them the plate was once taken for one not to be corrected."""
    job = lit_job(tmp_path, "plate", images={name: data for name, data in images.items() if name < "A03"})
    first = follow(job, now=4e9)
    digest = job.read_frozen()["digest"]
    assert sweep(job, now=time.time() + GRACE_S + 60)
    job.store.delete(field_key(job.prefix))
    (damage,) = find_damage(job)
    assert (damage.what, damage.fault) == ("frozen", "is missing")
    again = lit_job(tmp_path, "plate")
    assert follow(again, now=4e9) == first
    assert again.read_frozen()["digest"] == digest is not None
    assert find_damage(again) == []


def test_a_preview_that_was_made_again_shows_in_no_run(tmp_path: Path, images: dict[str, bytes]) -> None:
    few = {name: data for name, data in images.items() if name < "A03"}
    job, calm = lit_job(tmp_path / "a", "plate", images=few), lit_job(tmp_path / "b", "plate", images=few)
    for site in plan_work(job).todo:
        process_site(site_task(job, site), measure_planes)
    preview = next(item.key for item in job.store.list(f"{job.prefix}previews/").objects)
    job.store.write(preview, b"{")
    assert [item.is_mended for item in repair(job)] == [True]
    assert job.survey().records.voids
    assert follow(job, now=4e9) is not None
    assert job.survey().records.made_again == ()
    assert follow(calm, now=4e9) is not None
    assert job.read_frozen()["digest"] == calm.read_frozen()["digest"]


def test_a_lost_field_is_made_again_from_the_sites_that_gave_it_though_others_came_since(
    tmp_path: Path, images: dict[str, bytes]
) -> None:
    job = lit_job(tmp_path, "plate", images={name: data for name, data in images.items() if name < "A03"})
    assert follow(job, now=4e9) is not None
    frozen = job.read_frozen()["field"]
    for name in ("A03_w1.tif", "A03_w2.tif"):
        job.raw.write(name, images[name])
    assert follow(job, now=4e9) is not None
    sweep(job, now=time.time() + GRACE_S + 60)  # of the previews only their records are left
    before = job.store.read(frozen["key"])
    job.store.delete(frozen["key"])
    (outcome,) = repair(job)
    assert outcome.is_mended, outcome.said
    assert job.store.read(frozen["key"]) == before
