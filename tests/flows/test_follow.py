"""Following a plate on a real Dask cluster: done sites, failing sites, sites that kill their worker."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import KilledWorker

import flows.follow
from flows.cluster import open_cluster
from flows.compute import Compute
from flows.follow import Follower, explain_failure
from flows.isolation import measure_apart
from flows.sites import measure_site
from imaging.errors import ChangedObjectError, CrashedSiteError, MissingPartError
from imaging.projection import publish_and_project
from imaging.records import heartbeat_key
from imaging.site import SiteOutcome, SiteTask
from imaging.steps import is_followed
from tests.flows.jobs import known_keys, mark_time, wait_for_file
from tests.following import follow
from tests.imaging.small_plate import EXPERIMENT, FEATURES, draw_plate, make_job, read_rows


@pytest.fixture(scope="module")
def compute() -> Iterator[Compute]:
    with open_cluster(2) as cluster, Compute(cluster.scheduler_address) as compute:
        yield compute


def follower_of(job: Any, compute: Compute, **options: Any) -> Follower:
    return Follower(job, compute, "test", **{"linger_s": 0.0, "relist_s": 0.1, **options})


def finish(follower: Follower) -> Any:
    """Follow until nothing is left to do; return the publication."""
    publication = None
    with follower:
        while not follower.is_idle:
            plan = follower.measure(2)
            if plan.is_publishable and not follower.is_published:
                publication = publish_and_project(follower.job)
                follower.note_published()
    return publication


def measure_or_die(task: SiteTask) -> SiteOutcome:
    """A site's task that ends its worker in two wells, and in one of them a process of its own too."""
    mark_of(task, "begun" if not task.in_pieces else "apart").touch()
    if task.plan.well == "A02" and task.in_pieces:
        return measure_apart(task, "tests.flows.crash")
    if task.plan.well in ("A02", "B01") and not task.in_pieces:
        os._exit(9)
    return measure_site(task)


def mark_of(task: SiteTask, what: str) -> Path:
    return Path(task.raw_url.removeprefix("file://")).parent / f"{what}-{task.plan.well}-{os.getpid()}"


def measure_or_fail(task: SiteTask) -> SiteOutcome:
    """A site's task that fails in one well."""
    if task.plan.well == "B01":
        raise ValueError("no")
    return measure_site(task)


def measure_or_wait(task: SiteTask) -> SiteOutcome:
    """A site's task that finds the storage out of order once."""
    mark = Path(task.raw_url.removeprefix("file://")).parent / f"seen-{task.plan.well}"
    if mark.exists():
        return measure_site(task)
    mark.touch()
    raise ChangedObjectError("not now")


def measure_or_lack(task: SiteTask) -> SiteOutcome:
    """A site's task that finds the GPU lost once, as a process apart tells it."""
    try:
        return measure_or_wait(task)
    except ChangedObjectError as error:
        lost = MissingPartError("the GPU is lost")
        lost.retryable = True
        raise lost from error


def test_a_plate_on_the_cluster_gives_what_it_gives_without(tmp_path: Path, compute: Compute) -> None:
    text = EXPERIMENT.replace(FEATURES, "")
    job, calm = make_job(tmp_path / "cluster", text=text), make_job(tmp_path / "calm", text=text)
    publication, expected = finish(follower_of(job, compute)), follow(calm)
    for name in ("cells", "wells", "images", "image_features", "statistics", "features"):
        assert read_rows(job, publication, name) == read_rows(calm, expected, name)


def test_a_plate_corrected_with_its_own_field_on_the_cluster_gives_what_it_gives_without(
    tmp_path: Path, compute: Compute
) -> None:
    text = f"{EXPERIMENT}illumination: plate\n"
    job, calm = make_job(tmp_path / "cluster", text=text), make_job(tmp_path / "calm", text=text)
    publication, expected = finish(follower_of(job, compute)), follow(calm)
    assert job.read_frozen()["digest"] == calm.read_frozen()["digest"] is not None
    for name in ("cells", "wells", "images", "illumination"):
        rows, others = (
            [row | {"run": ""} for row in read_rows(*item, name)] for item in ((job, publication), (calm, expected))
        )
        assert rows == others


def test_a_heartbeat_is_there_while_somebody_follows_and_gone_after(tmp_path: Path, compute: Compute) -> None:
    job = make_job(tmp_path)
    with follower_of(job, compute) as follower:
        follower.measure(1)
        assert is_followed(job.survey(), stale_s=30.0)
    assert not job.store.exists(heartbeat_key(job.prefix))


def test_two_followers_of_one_plate_do_each_site_once(tmp_path: Path, compute: Compute) -> None:
    job = make_job(tmp_path)
    with follower_of(job, compute) as first, follower_of(job, compute) as second:
        first._step()
        second._step()
        finish(first)
        finish(second)
    parts = job.store.list(f"{job.prefix}parts/").objects
    assert len(parts) == 2 * 4  # cells and images of each site


def test_a_site_that_kills_its_worker_is_tried_apart_and_in_pieces_then_fails_and_the_plate_goes_on(
    tmp_path: Path, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows.follow, "measure_site", measure_or_die)
    job, calm = make_job(tmp_path / "killing"), make_job(tmp_path / "calm")
    publication, expected = finish(follower_of(job, compute)), follow(calm)
    rows = {row["well"]: row for row in read_rows(job, publication, "sites")}
    assert {well: row["state"] for well, row in rows.items()} == {
        "A01": "done",
        "A02": "failed",
        "B01": "done",
        "B02": "done",
    }
    (reason,) = rows["A02"]["reasons"]
    assert "it failed before and, measured alone and in small pieces, ended its process" in reason
    assert "SIGKILL: most likely its memory did not suffice" in reason
    for well in ("A02", "B01"):
        assert len(list((tmp_path / "killing").glob(f"begun-{well}-*"))) == 3  # workers that it cost
        assert len(list((tmp_path / "killing").glob(f"apart-{well}-*"))) == 1
    found, unharmed = (
        [row | {"run": ""} for row in read_rows(*item, "cells") if row["well"] == "B01"]
        for item in ((job, publication), (calm, expected))
    )
    assert found == unharmed != []


def test_why_a_site_failed_is_said_in_words() -> None:
    assert explain_failure(ValueError("no"), is_second=True) == ("ValueError: no", False)
    assert explain_failure(CrashedSiteError("it ended"), is_second=True) == ("it ended", True)
    reason = "its memory does not suffice, not even for one channel at a time (4 GB)"
    assert explain_failure(MemoryError("4 GB"), is_second=False) == (reason, False)
    assert explain_failure(MemoryError("4 GB"), is_second=True) == (reason, True)
    killed: Any = KilledWorker("site", None, 2)
    assert [explain_failure(killed, is_second=second)[1] for second in (False, True)] == [False, True]


def test_a_site_that_fails_is_tried_three_times(
    tmp_path: Path, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows.follow, "measure_site", measure_or_fail)
    job = make_job(tmp_path)
    publication = finish(follower_of(job, compute))
    assert publication.status == "with-missing"
    assert len(job.store.list(f"{job.prefix}attempts/").objects) == 3


def test_a_storage_out_of_order_is_no_attempt(
    tmp_path: Path, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows.follow, "measure_site", measure_or_wait)
    monkeypatch.setattr(flows.follow, "BACK_OFF_S", 0.2)
    job = make_job(tmp_path)
    assert finish(follower_of(job, compute)).status == "complete"
    assert not job.store.list(f"{job.prefix}attempts/").objects


def test_a_part_that_a_worker_lacks_for_a_while_is_no_attempt_and_is_told_once(
    tmp_path: Path, compute: Compute, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(flows.follow, "measure_site", measure_or_lack)
    monkeypatch.setattr(flows.follow, "BACK_OFF_S", 0.2)
    job = make_job(tmp_path)
    assert finish(follower_of(job, compute)).status == "complete"
    assert not job.store.list(f"{job.prefix}attempts/").objects
    assert [message for message in caplog.messages if "tried again" in message] == [
        f"{job.prefix.rstrip('/')}: the GPU is lost; it is tried again"
    ]


def test_a_bad_file_of_a_waiting_site_is_found_beside_the_sites_that_are_measured(
    tmp_path: Path, compute: Compute
) -> None:
    images = draw_plate() | {"A02_w1.tif": b"", "B01_w1.tif": bytes(5000)}
    del images["A02_w2.tif"], images["B01_w2.tif"]
    job = make_job(tmp_path, images=images)
    with follower_of(job, compute, linger_s=0.5) as follower:
        while not follower.is_idle:
            follower.measure(99)
        assert follower.finished_sites == 2
    assert [(file.name, channel) for _, _, channel, file in job.survey().faulted] == [
        ("A02_w1.tif", "DNA"),
        ("B01_w1.tif", "DNA"),
    ]
    assert not job.store.list(f"{job.prefix}attempts/").objects


def test_an_image_that_comes_while_the_run_lingers_is_published(tmp_path: Path, compute: Compute) -> None:
    images = draw_plate()
    late = images.pop("B02_w1.tif")
    job = make_job(tmp_path, images=images)
    with follower_of(job, compute, linger_s=1.0) as follower:
        plan = follower.measure(99)
        assert not plan.is_publishable
        (tmp_path / "raw" / "B02_w1.tif").write_bytes(late)
        follower._changed_at += 100.0
        plan = follower.measure(99)
        assert plan.is_publishable


def test_sites_of_a_higher_priority_go_first_however_late_they_came(compute: Compute, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    blocking = [compute.submit(wait_for_file, gate, key=f"gate-{tmp_path.name}-{n}") for n in range(6)]
    late = [
        compute.submit(mark_time, tmp_path, f"late-{n}", key=f"late-{tmp_path.name}-{n}", priority=-20)
        for n in range(4)
    ]
    soon = [compute.submit(mark_time, tmp_path, f"soon-{n}", key=f"soon-{tmp_path.name}-{n}") for n in range(4)]
    while not {future.key for future in (*late, *soon)} <= compute.client().run_on_scheduler(known_keys):
        time.sleep(0.02)
    gate.touch()
    began = {kind: [future.result() for future in futures] for kind, futures in (("late", late), ("soon", soon))}
    assert [future.result() for future in blocking] == [None] * 6
    assert max(began["soon"]) < min(began["late"])


def test_a_follower_hands_its_priority_on_with_each_site(tmp_path: Path) -> None:
    given: list[int] = []

    class Noting:
        workers = 2

        def submit(self, function: Any, *args: Any, key: str, priority: int = 0) -> Any:
            given.append(priority)
            raise StopIteration

        def ensure_connected(self) -> bool:
            return True

    for priority in (0, -20):
        with (
            pytest.raises(StopIteration),
            Follower(make_job(tmp_path), Noting(), "test", priority=priority) as follower,
        ):
            follower.measure(1)
    assert given == [0, -20]
