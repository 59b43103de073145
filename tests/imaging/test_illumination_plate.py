"""Whole small plates under a known field: recovered, corrected, handed on to later plates, and watched for drift."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imaging.errors import ConfigurationError
from imaging.illumination_frozen import load_field, load_frozen
from imaging.illumination_shelf import newest_offers, shelf
from imaging.job import PlateJob
from imaging.measure import measure_planes
from imaging.names import to_json
from imaging.query import run_query
from imaging.records import publication_key
from imaging.site import process_site
from imaging.steps import plan_work, site_task
from imaging.store import Store
from imaging.sweep import GRACE_S, find_unreferenced, sweep
from imaging.zarr_plate import read_attributes, read_planes, read_thumbnail
from kernels.fields import compare_fields
from tests.following import follow
from tests.imaging.lit_plate import FIELDS, SIDE, WELLS, declare_fields, draw_plate, encode, lit_job
from tests.imaging.small_plate import object_states, read_rows

INTENSITY = "Nuclei_Intensity_MeanIntensity_DNA"


@pytest.fixture(scope="module")
def images() -> dict[str, bytes]:
    return draw_plate()


@pytest.fixture(scope="module")
def uncorrected(tmp_path_factory: pytest.TempPathFactory, images: dict[str, bytes]) -> PlateJob:
    """A published plate that is not corrected; for reading only."""
    job = lit_job(tmp_path_factory.mktemp("uncorrected"), images=images)
    follow(job)
    return job


@pytest.fixture(scope="module")
def two_phases(tmp_path_factory: pytest.TempPathFactory, images: dict[str, bytes]) -> PlateJob:
    """A published plate that is corrected with its own field; for reading only."""
    job = lit_job(tmp_path_factory.mktemp("two-phases"), "plate", images=images)
    follow(job)
    return job


def rows_of(job: PlateJob, table: str) -> list[dict[str, Any]]:
    return run_query(job.store, f"SELECT * FROM {table}").to_pylist()


def illumination_of(job: PlateJob, variant: str = "robust") -> dict[str, dict[str, Any]]:
    return {row["channel"]: row for row in rows_of(job, "illumination") if row["variant"] == variant}


def reasons_of(job: PlateJob) -> list[str]:
    return rows_of(job, "plates")[0]["reasons"]


def publication_of(job: PlateJob, number: int = 1) -> dict[str, Any]:
    return json.loads(job.store.read(publication_key(job.prefix, number)))


def spread_over_field(job: PlateJob) -> float:
    """How much brighter the same nuclei are in the brightest ninth of the field than in the darkest."""
    rows = rows_of(job, "cells")
    centers = np.array([[row["Nuclei_AreaShape_Center_Y"], row["Nuclei_AreaShape_Center_X"]] for row in rows])
    places = (centers * 3 // SIDE).astype(int)
    means = [
        np.median([row[INTENSITY] for row, place in zip(rows, places, strict=True) if tuple(place) == (i, j)])
        for i in range(3)
        for j in range(3)
    ]
    return float(max(means) / min(means))


def test_each_publication_tells_its_plates_own_field(uncorrected: PlateJob) -> None:
    record = publication_of(uncorrected)["illumination"]
    found = load_field(uncorrected.store, record["fields"]["robust"])
    for channel, field in FIELDS.items():
        assert compare_fields(found.fields[channel], field) < 0.01
        row = illumination_of(uncorrected)[channel]
        assert row["n_sites"] == record["known"]["robust"][channel]["n_sites"] == len(WELLS)
        assert 0 < row["error_percent"] < 1
        assert row["field_range"] == pytest.approx(field.max() / field.min(), rel=0.01)
        assert (row["source"], row["drift_percent"], row["frozen_from"]) == ("none", None, None)
    assert illumination_of(uncorrected, "mean")["DNA"]["n_sites"] == len(WELLS)
    assert reasons_of(uncorrected) == []


def test_a_plate_corrected_with_its_own_field_is_flat_within_two_percent(
    uncorrected: PlateJob, two_phases: PlateJob
) -> None:
    frozen = two_phases.read_frozen()
    field = load_frozen(two_phases.store, two_phases.prefix, frozen["digest"])
    for channel, known in FIELDS.items():
        assert compare_fields(field.fields[channel], known) < 0.01
    assert spread_over_field(uncorrected) > 1.2
    assert spread_over_field(two_phases) < 1.02
    assert illumination_of(two_phases)["DNA"]["drift_percent"] == 0
    assert illumination_of(two_phases)["DNA"]["frozen_from"] == "the plate itself"
    assert reasons_of(two_phases) == []


def test_images_thumbnails_and_metrics_stay_raw(uncorrected: PlateJob, two_phases: PlateJob) -> None:
    differing = ("recipe", "run")
    raw, corrected = (
        [{name: value for name, value in row.items() if name not in differing} for row in rows_of(job, "images")]
        for job in (uncorrected, two_phases)
    )
    assert raw == corrected
    groups = [publication_groups(job) for job in (uncorrected, two_phases)]
    for read in (read_planes, read_thumbnail):
        first, second = (
            read(job.store, job.zarr, group) for job, (group, *_) in zip((uncorrected, two_phases), groups, strict=True)
        )
        assert np.array_equal(first, second)


def publication_groups(job: PlateJob) -> list[str]:
    manifests = [json.loads(job.store.read(key)) for key in publication_of(job)["manifests"]]
    return [manifest["zarr"]["group"] for manifest in manifests]


def test_previews_are_live_until_the_plate_is_published(tmp_path: Path, images: dict[str, bytes]) -> None:
    job = lit_job(tmp_path, "plate", images={name: data for name, data in images.items() if name < "A03"})
    for site in plan_work(job).todo:
        process_site(site_task(job, site), measure_planes)
    live = rows_of(job, "images_live")
    assert [(row["well"], row["channel"]) for row in live] == [(w, c) for w in WELLS[:2] for c in FIELDS]
    assert live[0]["MedianIntensity"] > 0
    assert [row["nuclei_count"] for row in rows_of(job, "sites_live")] == [None, None]
    preview = json.loads(job.store.read(next(key for key in object_states(job) if "/previews/" in key)))
    group = preview["zarr"]["group"]
    assert read_planes(job.store, job.zarr, group).shape == (2, SIDE, SIDE)
    follow(job, now=4e9)
    job.store.write(f"{job.prefix}previews/D06-1-x.json", to_json(preview | {"well": "D06"}))  # its site failed later
    assert rows_of(job, "sites_live") == []


def test_a_preview_is_stored_as_small_as_its_thumbnails(tmp_path: Path) -> None:
    plane = encode(np.full((330, 350), 400, np.uint16))
    job = lit_job(tmp_path, "plate", images={"A01_w1.tif": plane, "A01_w2.tif": plane})
    process_site(site_task(job, plan_work(job).todo[0]), measure_planes)
    manifest = json.loads(job.store.read(next(key for key in object_states(job) if "/previews/" in key)))
    assert manifest["part"] is None
    group = manifest["zarr"]["group"]
    assert read_planes(job.store, job.zarr, group).shape == (2, 165, 175)
    scales = read_attributes(job.store, f"{job.zarr}/{group}")["ome"]["multiscales"][0]["datasets"]
    assert [item["coordinateTransformations"][0]["scale"] for item in scales] == [[1, 1, 1], [1, 1, 1]]


def test_previews_are_swept_once_the_plate_is_published(tmp_path: Path, images: dict[str, bytes]) -> None:
    job = lit_job(tmp_path, "plate", images={name: data for name, data in images.items() if name < "A03"})
    later = time.time() + GRACE_S + 60
    for site in plan_work(job).todo:
        process_site(site_task(job, site), measure_planes)
    assert find_unreferenced(job, now=later) == []
    publication = follow(job, now=4e9)
    job.store.write(f"{job.prefix}fields/stray.npz", b"left behind")
    swept = sweep(job, now=later)
    assert len([key for key in swept if ".zarr/" in key]) == 2 * 5
    assert [key for key in swept if ".zarr/" not in key] == [f"{job.prefix}fields/stray.npz"]
    assert load_frozen(job.store, job.prefix, job.read_frozen()["digest"])
    assert read_rows(job, publication, "cells")
    assert load_field(job.store, publication_of(job)["illumination"]["fields"]["mean"])


def later_plate(folder: Path, store: Store, illumination: str, images: dict[str, bytes], **changes: Any) -> PlateJob:
    job = lit_job(folder, illumination, plate="P2", images=images, store=store, **changes)
    follow(job)
    return job


def test_a_later_plate_is_corrected_with_the_field_of_the_last_one(
    tmp_path: Path, uncorrected: PlateJob, images: dict[str, bytes]
) -> None:
    job = later_plate(tmp_path, uncorrected.store, "previous", images)
    frozen, record = job.read_frozen(), publication_of(uncorrected)
    assert frozen["channels"]["DNA"]["from"]["plate"] == "P1"
    assert frozen["channels"]["DNA"]["from"]["run"] == record["run"]
    assert frozen["channels"]["DNA"]["error_percent"] < 1
    given = load_field(job.store, record["illumination"]["fields"]["robust"])
    assert load_frozen(job.store, job.prefix, frozen["digest"]).digest == given.digest
    assert frozen["field"]["key"].startswith(job.prefix)
    row = next(row for row in rows_of(job, "illumination") if row["plate"] == "P2" and row["variant"] == "robust")
    assert row["frozen_from"] == f"lit/P1, {uncorrected.recipe}, publication 1"
    assert row["drift_percent"] < 1


def shelve(job: PlateJob, moment: str, **changes: Any) -> dict[str, Any]:
    """Lay an offer on the shelf that differs from the plate's own."""
    record = json.loads(job.store.read(job.store.list(shelf(job.experiment)).objects[0].key)) | changes
    job.store.write(f"{shelf(job.experiment)}{moment}-0.json", to_json(record))
    return record


def test_each_channel_takes_the_newest_field_that_is_good_enough(tmp_path: Path, images: dict[str, bytes]) -> None:
    first = lit_job(tmp_path, images=images)
    follow(first)
    known = json.loads(first.store.read(first.store.list(shelf(first.experiment)).objects[0].key))["known"]
    few = {"robust": {"DNA": {"n_sites": 9, "error_percent": 0.1}, "GFP": known["robust"]["GFP"]}}
    shelve(first, "29990101000000000", plate="few", known=few, run="few")
    vague = {"robust": {channel: {"n_sites": 99, "error_percent": 1.1} for channel in FIELDS}}
    shelve(first, "29990102000000000", run="vague", known=vague)
    shelve(first, "29990103000000000", run="unknown", known={"robust": {"DNA": {"n_sites": 99, "error_percent": None}}})
    gone = {"robust": {"key": "nowhere", "size_bytes": 1, "crc32": "00000000"}}
    shelve(first, "29990104000000000", run="gone", fields=gone)
    shelve(first, "29990105000000000", run="withdrawn", plate="withdrawn")
    withdrawn = first.prefix.replace("/P1/", "/withdrawn/")
    whole = publication_of(first)
    first.store.write(publication_key(withdrawn, 1), to_json(whole | {"status": "withdrawn"}))
    first.store.write(publication_key(first.prefix.replace("/P1/", "/few/"), 1), to_json(whole))
    first.store.write(f"{shelf(first.experiment)}29990106000000000-0.json", b"{")
    job = lit_job(tmp_path, "previous", plate="P2", images={"A01_w1.tif": images["A01_w1.tif"]}, store=first.store)
    assert len(list(newest_offers(job.store, job.experiment))) == 6
    job.raw.write("A01_w2.tif", images["A01_w2.tif"])
    plan_work(job)
    channels = job.read_frozen()["channels"]
    assert (channels["DNA"]["from"]["run"], channels["GFP"]["from"]["run"]) == (publication_of(first)["run"], "few")


def test_a_first_plate_is_not_corrected_and_says_so(tmp_path: Path, images: dict[str, bytes]) -> None:
    job = lit_job(tmp_path, "previous", images={name: data for name, data in images.items() if name < "A02"})
    follow(job, now=4e9)
    assert job.read_frozen()["digest"] is None
    assert any("2 channels without a field of illumination, first DNA" in reason for reason in reasons_of(job))
    assert any(
        "no plate published before gives a field of this size from 16 sites" in reason for reason in reasons_of(job)
    )
    calm = lit_job(tmp_path / "calm", images={name: data for name, data in images.items() if name < "A02"})
    follow(calm, now=4e9)
    assert [row[INTENSITY] for row in rows_of(job, "cells")] == [row[INTENSITY] for row in rows_of(calm, "cells")]


def test_experiments_of_one_instrument_share_their_fields(tmp_path: Path, images: dict[str, bytes]) -> None:
    first = lit_job(tmp_path, "{source: none, instrument: Opera 2}", images=images)
    follow(first)
    one = {name: data for name, data in images.items() if name < "A02"}
    other = lit_job(
        tmp_path / "b", "{source: previous, instrument: Opera 2}", images=one, store=first.store, name="other"
    )
    plan_work(other)
    assert other.read_frozen()["channels"]["DNA"]["from"]["experiment"] == "lit"
    stranger = lit_job(tmp_path / "c", "previous", images=one, store=first.store, name="stranger")
    plan_work(stranger)
    assert stranger.read_frozen()["digest"] is None


def test_a_declared_field_corrects_the_plate_and_agrees_with_it(tmp_path: Path, images: dict[str, bytes]) -> None:
    declare_fields(tmp_path, **{f"Illum{channel}": 7 * field for channel, field in FIELDS.items()})
    job = lit_job(tmp_path, "{source: file, file: fields.npz}", images=images)
    follow(job)
    assert spread_over_field(job) < 1.02
    assert illumination_of(job)["GFP"]["drift_percent"] < 1
    assert illumination_of(job)["GFP"]["frozen_from"] == "file fields.npz"
    assert illumination_of(job, "mean")["GFP"]["drift_percent"] is None
    assert reasons_of(job) == []


def test_a_plate_whose_own_field_differs_from_the_frozen_one_warns(tmp_path: Path, images: dict[str, bytes]) -> None:
    tilted = FIELDS["DNA"] * np.linspace(1, 1.2, SIDE)
    declare_fields(tmp_path, DNA=tilted, GFP=FIELDS["GFP"])
    job = lit_job(tmp_path, "{source: file, file: fields.npz, warn_drift_percent: 4}", images=images)
    follow(job)
    drift = illumination_of(job)["DNA"]["drift_percent"]
    assert drift == pytest.approx(10, abs=2)
    assert rows_of(job, "plates")[0]["verdict"] == "warn"
    assert reasons_of(job) == [
        f"DNA: the plate's own field of illumination differs from the frozen one (file fields.npz) by {drift:.3g} % "
        "(limit 4 %)"
    ]


def test_an_uncertain_estimate_of_its_own_is_used_with_a_warning(tmp_path: Path, images: dict[str, bytes]) -> None:
    few = {name: data for name, data in images.items() if name < "A05"}
    job = lit_job(tmp_path, "{source: plate, max_error_percent: 0.01}", images=few)
    follow(job, now=4e9)
    assert job.read_frozen()["digest"] is not None
    assert any("2 channels with an uncertain field of illumination" in reason for reason in reasons_of(job))


def test_declared_fields_of_another_size_stop_the_plate_before_its_first_site(
    tmp_path: Path, images: dict[str, bytes]
) -> None:
    declare_fields(tmp_path, DNA=np.ones((50, 60)))
    job = lit_job(tmp_path, "{source: file, file: fields.npz}", images=images)
    with pytest.raises(ConfigurationError, match="planes of 60 x 50 pixels, and the plate's have 160 x 160"):
        plan_work(job)
    assert not job.survey().records.has_field


def test_a_damaged_first_image_does_not_hide_the_size_of_the_others(tmp_path: Path, images: dict[str, bytes]) -> None:
    declare_fields(tmp_path, DNA=np.ones((50, 60)))
    job = lit_job(tmp_path, "{source: file, file: fields.npz}", images={**images, "A01_w1.tif": b"no image"})
    with pytest.raises(ConfigurationError, match="the plate's have 160 x 160"):
        plan_work(job)
    other = tmp_path / "other"
    other.mkdir()
    declare_fields(other, DNA=np.ones((50, 60)))
    unreadable = {f"A01_w{code}.tif": b"no image" for code in (1, 2)}
    hidden = lit_job(other, "{source: file, file: fields.npz}", images=unreadable)
    assert plan_work(hidden).todo[0].field == hidden.read_frozen()["digest"]


def test_a_site_of_another_size_than_the_frozen_field_fails_in_words(tmp_path: Path, images: dict[str, bytes]) -> None:
    declare_fields(tmp_path, **FIELDS)
    odd = {f"A01_w{code}.tif": encode(np.ones((50, 60), np.uint16)) for code in (1, 2)}
    job = lit_job(tmp_path, "{source: file, file: fields.npz}", images=images)
    plan_work(job)
    for name, data in odd.items():
        job.raw.write(name, data)
    site = plan_work(job).todo[0]
    with pytest.raises(ConfigurationError, match="is for planes of 160 x 160 pixels, and those of this site have 60 x"):
        process_site(site_task(job, site), measure_planes)


def test_fields_of_planes_of_another_size_are_passed_over(
    tmp_path: Path, uncorrected: PlateJob, images: dict[str, bytes]
) -> None:
    odd = {f"A01_w{code}.tif": encode(np.ones((50, 60), np.uint16)) for code in (1, 2)}
    job = lit_job(tmp_path, "previous", plate="P9", images=odd, store=uncorrected.store)
    plan_work(job)
    assert "no plate published before gives a field of this size" in job.read_frozen()["channels"]["DNA"]["reason"]


def test_a_missing_file_stops_the_plate_before_its_first_site(tmp_path: Path, images: dict[str, bytes]) -> None:
    job = lit_job(tmp_path, "{source: file, file: fields.npz}", images=images)
    with pytest.raises(ConfigurationError, match=r"illumination\.file: fields\.npz is not there"):
        plan_work(job)
    assert not job.survey().records.has_field
    declare_fields(tmp_path, **FIELDS)
    assert plan_work(job).todo[0].field == job.read_frozen()["digest"]


def test_no_field_is_frozen_before_a_site_can_be_measured(tmp_path: Path, images: dict[str, bytes]) -> None:
    declare_fields(tmp_path, **FIELDS)
    job = lit_job(tmp_path, "{source: file, file: fields.npz}", images={"A01_w1.tif": images["A01_w1.tif"]})
    plan = plan_work(job)
    assert (plan.has_arrivals, plan.is_field_due, plan.records.has_field) == (True, False, False)
    assert not job.survey().records.has_field


def test_a_site_planned_before_the_field_was_frozen_is_planned_again(tmp_path: Path, images: dict[str, bytes]) -> None:
    declare_fields(tmp_path, **FIELDS)
    job = lit_job(tmp_path, "{source: file, file: fields.npz}", images=images)
    stale = job.survey().todo[0]
    plan_work(job)
    assert process_site(site_task(job, stale), measure_planes).status == "changed"
    assert job.survey().records.manifests == frozenset()


def test_a_replaced_field_file_leaves_the_plate_as_it_is(tmp_path: Path, images: dict[str, bytes]) -> None:
    declare_fields(tmp_path, **FIELDS)
    few = {name: data for name, data in images.items() if name < "A02"}
    job = lit_job(tmp_path, "{source: file, file: fields.npz}", images=few)
    follow(job, now=4e9)
    before = object_states(job)
    declare_fields(tmp_path, DNA=np.ones((SIDE, SIDE)))
    again = lit_job(tmp_path, "{source: file, file: fields.npz}")
    assert follow(again, now=4e9).number == 1
    assert object_states(job) == before
