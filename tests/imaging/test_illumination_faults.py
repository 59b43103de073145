"""What stands in the way of a field: a publisher that dies, a storage that does not answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from imaging.errors import StoreUnavailableError
from imaging.illumination_shelf import newest_offers
from imaging.measure import measure_planes
from imaging.projection import publish_and_project
from imaging.publication import publish
from imaging.site import process_site
from imaging.steps import plan_work, site_task
from imaging.store import Store
from tests.imaging.lit_plate import FIELDS, declare_fields, draw_plate, lit_job


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
