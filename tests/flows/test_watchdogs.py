"""The watchdogs on real parts: plates in a store, a Dask cluster, disks, an API that events are sent to."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client, LocalCluster, get_worker

from flows.clusters.look import PRELOAD, ask
from flows.needs import find_need
from flows.settings import Settings
from flows.watch import Watch
from flows.watchdogs.alerts import disk_percent, find_alerts
from flows.watchdogs.gather import look_at_disks, workers_floor
from flows.watchdogs.rounds import open_watchdogs
from flows.watchdogs.status import read_alerts
from imaging.errors import MissingPartError
from imaging.job import open_job
from imaging.steps import beat
from imaging.store import FolderStore
from tests.flows.api_standin import api_standin
from tests.flows.dogs import Dogs, declare, upload
from tests.following import follow
from tests.imaging import small_screen


@pytest.fixture
def root(tmp_path: Path) -> FolderStore:
    return declare(tmp_path / "store")


@pytest.fixture
def dogs(root: FolderStore, tmp_path: Path) -> Dogs:
    return Dogs(root, tmp_path)


def test_a_plate_is_still_from_the_moment_since_which_nothing_was_done(root: FolderStore, dogs: Dogs) -> None:
    upload(root, count=4)
    first = dogs.plate(1)
    assert (first.work, first.ready, first.images_arrived, first.images_expected) == ("2 sites to process", 2, 4, 8)
    assert first.still_since == dogs.plate(600).still_since == dogs.began + 1
    upload(root, first=4)
    assert dogs.plate(700).still_since == dogs.began + 700
    assert dogs.plate(700).ready_since == dogs.began + 1  # some site waited all the time


def test_who_follows_a_plate_is_named(root: FolderStore, dogs: Dogs) -> None:
    upload(root)
    assert dogs.plate(1).follower == ""
    beat(open_job(root, "screen", "P1"), "run-7")
    assert dogs.plate(2).follower == "run-7"
    assert dogs.plate(200).follower == ""


def test_a_plate_that_waits_says_until_when(root: FolderStore, dogs: Dogs) -> None:
    upload(root, count=1)
    plate = dogs.plate(1)
    assert (plate.work, plate.ready, plate.ready_since) == ("", 0, None)
    assert plate.given_up_at == pytest.approx(dogs.began + 36_000, abs=60)
    kinds = [alert.kind for alert in find_alerts(dogs.look(2400)) if alert.plate]
    assert kinds == ["plate-waiting"]


def test_a_published_plate_is_looked_at_no_more(root: FolderStore, dogs: Dogs) -> None:
    upload(root)
    assert dogs.plate(1).ready == 4
    follow(open_job(root, "screen", "P1", settle_s=0.0))
    facts = dogs.look(3)
    assert facts.plates == ()
    assert not dogs.watch.plates.open()
    (quality,) = facts.quality
    assert [(plate.plate, plate.sites) for plate in quality.plates] == [("P1", 0.0)]


def test_what_cannot_be_looked_at_is_a_fault_until_it_is_mended(root: FolderStore, dogs: Dogs) -> None:
    upload(root)
    root.write("raw/undeclared/P9/A01_w1.tif", b"x")
    pins = f"{open_job(root, 'screen', 'P1').prefix}pins.json"
    root.write(pins, b"")
    found = {(fault.experiment, fault.plate): fault for fault in dogs.look(1).faults}
    assert set(found) == {("undeclared", ""), ("screen", "P1")}
    assert "not declared" in found["undeclared", ""].problem
    assert "record is damaged" in found["screen", "P1"].problem
    assert {fault.since for fault in dogs.look(300).faults} == {dogs.began + 1}
    root.delete(pins)
    shutil.rmtree(root.root / "raw/undeclared")
    facts = dogs.look(302)
    assert facts.plates
    assert facts.faults == ()


def test_a_server_that_cannot_be_told_is_no_fault_of_the_plate(root: FolderStore, dogs: Dogs) -> None:
    def wake(need: object) -> None:
        raise MissingPartError("the server is down")

    dogs.watch.wake = wake
    upload(root)
    assert dogs.look(1).faults == ()
    assert dogs.plate(2).ready == 4


def test_a_refused_plate_says_why(root: FolderStore, dogs: Dogs) -> None:
    dogs.watch.refuse = lambda job, plan: "the budget is used up; raise it"
    upload(root)
    assert dogs.plate(1).refusal == "the budget is used up; raise it"


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A scheduler that tells what it has to do, and two workers, in this process."""
    options: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "protocol": "tcp"}
    with dask.config.set({"distributed.scheduler.preload": [PRELOAD]}):
        started: Any = LocalCluster(**options, dashboard_address=None, host="127.0.0.1")
        with started:
            yield started


def measure(site: int, broken: Any) -> int:
    if get_worker().name == broken:
        raise MemoryError(f"CUDA is out of memory at site {site}")
    return site


def test_a_cluster_that_is_up_and_idle_while_sites_are_ready(
    root: FolderStore, tmp_path: Path, cluster: LocalCluster
) -> None:
    dogs = Dogs(root, tmp_path, scheduler=cluster.scheduler_address)
    upload(root)
    seen = dogs.look(1).cluster
    assert seen is not None
    assert (seen.silent_since, seen.workers, seen.idle_since) == (None, 2, dogs.began + 1)
    assert "cluster-idle" not in {alert.kind for alert in find_alerts(dogs.look(500))}
    (alert,) = [alert for alert in find_alerts(dogs.look(700)) if alert.kind == "cluster-idle"]
    assert f"the cluster at {cluster.scheduler_address} has been idle since" in alert.what
    assert "2 workers and nothing to do, although 4 sites of screen/P1 are ready" in alert.what
    with Client(cluster) as client:
        client.submit(measure, 0, None, key="site-e-p-r-A01-0-x-0").result()
    assert "cluster-idle" not in {alert.kind for alert in find_alerts(dogs.look(760))}  # it did something


def test_a_worker_that_fails_at_every_site_is_found_out(
    root: FolderStore, tmp_path: Path, cluster: LocalCluster
) -> None:
    dogs = Dogs(root, tmp_path, scheduler=cluster.scheduler_address)
    broken, sound = (worker.name for worker in cluster.workers.values())
    address = {worker.name: worker.address for worker in cluster.workers.values()}
    with Client(cluster) as client:

        def end(site: int, name: Any) -> None:
            future = client.submit(measure, site, broken, key=f"site-e-p-r-B02-{site}-x-0", workers=[address[name]])
            assert (future.exception() is None) == (name != broken)

        for site in range(1, 7):
            end(site, sound if site % 2 else broken)
        assert not [alert for alert in find_alerts(dogs.look(1)) if alert.kind == "worker-failing"]
        for site in range(10, 13):
            end(site, broken)
        (alert,) = [alert for alert in find_alerts(dogs.look(2)) if alert.kind == "worker-failing"]
        assert (
            f"the worker {broken} of the cluster at {cluster.scheduler_address} has failed at every site" in alert.what
        )
        assert "6 failures in a row at 6 sites" in alert.what
        assert "CUDA is out of memory at site 12" in alert.what
        end(20, sound)
        look = ask(cluster.scheduler_address)
        assert look.failing.keys() == {str(broken)}
        assert look.failing[str(broken)]["since"] < look.well_at[str(sound)] <= look.time
        client.submit(measure, 21, None, key="site-e-p-r-B02-21-x-0", workers=[address[broken]]).result()
    assert ask(cluster.scheduler_address).failing == {}
    assert abs(ask(cluster.scheduler_address).time - time.time()) < 60


def test_a_cluster_that_cannot_be_asked_is_not_called_silent(dogs: Dogs, caplog: pytest.LogCaptureFixture) -> None:
    for after_s in (1, 100):
        assert dogs.look(after_s).cluster is None
    assert caplog.text.count("whether the cluster is idle cannot be asked") == 1


def test_silent_services_are_silent_since_the_first_look(root: FolderStore, tmp_path: Path) -> None:
    dogs = Dogs(root, tmp_path, scheduler="tcp://127.0.0.1:9")
    for after_s in (1, 100):
        facts = dogs.look(after_s)
        assert facts.cluster is not None
        assert facts.runs is not None
        assert facts.cluster.silent_since == facts.runs.silent_since == dogs.began + 1


def test_the_disks_that_are_written_to_are_looked_at_once_each(tmp_path: Path) -> None:
    settings = Settings(store=str(tmp_path / "to/be/made"), state_folder=tmp_path, cache_folder=tmp_path)
    (disk,) = look_at_disks(settings)
    assert (disk.what, disk.folder) == ("the store", str(tmp_path))
    usage = shutil.disk_usage(tmp_path)
    assert disk.free_bytes == pytest.approx(usage.free, rel=0.05)
    assert disk.total_bytes == pytest.approx(usage.used + usage.free, rel=0.05)
    assert 0 < disk_percent(disk) <= 100
    bucket = Settings(store="gs://lab/plates", state_folder=tmp_path, cache_folder=tmp_path)
    assert [disk.what for disk in look_at_disks(bucket)] == ["the services' state"]


def test_a_disk_below_the_limit_is_so_since_it_was_seen(root: FolderStore, tmp_path: Path) -> None:
    dogs = Dogs(root, tmp_path, alert_disk_percent=99.999999)
    dogs.look(1)
    (disk,) = dogs.look(90).disks
    assert disk.little_since == dogs.began + 1
    assert find_alerts(dogs.look(91))[0].kind == "disk-near-full"


def test_how_many_workers_stay_is_known_where_it_is_ours_to_know() -> None:
    assert workers_floor(Settings(workers_floor=1)) == 1
    assert workers_floor(Settings()) is None
    assert workers_floor(Settings(compute="address")) is None
    assert workers_floor(Settings(compute="gke", environment="gcp", scheduler="tls://a:1")) == 1
    assert workers_floor(Settings(compute="gke", environment="local", scheduler="tls://a:1")) is None


def test_an_experiment_whose_last_plates_fail_is_found_in_its_publications(root: FolderStore, tmp_path: Path) -> None:
    from imaging.quality_history import QualityHistory

    lost = tuple({"well": well, "site": 1, "reason": "out of memory"} for well in small_screen.WELLS)
    for number in range(8):
        failed = lost if number >= 5 else ()
        plate = f"P{number}"
        done = [item for item in small_screen.manifests(plate) if not failed or item["site"] == 2]
        published_at = f"2026-02-03T0{number}:00:00+00:00"
        small_screen.publish(root, plate=plate, manifests=tuple(done), failed=failed, published_at=published_at)
    small_screen.publish(root, plate="P8")
    small_screen.record(root, 2, plate="P8", status="withdrawn")
    history = QualityHistory(root, "screen", small_screen.RECIPE)
    newest = history.newest()
    assert [(shares.plate, shares.sites) for shares in newest[:4]] == [
        ("P7", 0.5),
        ("P6", 0.5),
        ("P5", 0.5),
        ("P4", 0.0),
    ]
    assert len(newest) == 8
    record = next(key for key in history._read if "/P7/" in key)
    root.delete(record)
    assert [shares.plate for shares in history.newest()[:2]] == ["P6", "P5"]


def test_of_old_plates_publications_are_listed_once_unless_they_changed(
    root: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imaging import quality_history

    monkeypatch.setattr(quality_history, "MOST_PLATES", 2)
    for number in range(5):
        small_screen.publish(root, plate=f"P{number}", published_at=f"2026-02-03T0{number}:00:00+00:00")
    history = quality_history.QualityHistory(root, "screen", small_screen.RECIPE)
    assert [shares.plate for shares in history.newest()] == ["P4", "P3"]
    listed: list[str] = []
    listing = root.list
    monkeypatch.setattr(root, "list", lambda prefix, **given: listed.append(prefix) or listing(prefix, **given))
    small_screen.record(root, 2, plate="P0")
    assert [shares.plate for shares in history.newest()] == ["P4", "P3"]
    assert {prefix.split("/")[2] for prefix in listed} == {"P3", "P4"}
    history.newest(["P0"])
    assert any("/P0/" in key for key in history._read)


def test_an_alert_of_a_real_plate_is_sent_once_and_shown_by_status(
    root: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.watchdogs.gather.find_late_runs", lambda settings, now: [])  # the API has none
    upload(root)
    with api_standin() as (address, got):
        settings = Dogs(root, tmp_path, api_url=address, alert_after_s=3.0, alert_every_s=1.0).settings
        watch = Watch(root, lambda need: None, rescan_s=0.5, settle_s=0.0)
        now = time.time()
        watch.round(now)
        for _ in range(2):  # a watcher, and one that took its place
            watchdogs = open_watchdogs(root, settings, watch.plates, find_need)
            for after_s in range(1, 8):
                watchdogs.look(now + after_s, float(after_s))
    (event,) = [request.body[0] for request in got if request.path == "/api/events"]
    assert event["event"] == "platestream.alert"
    assert event["resource"]["prefect.resource.id"] == "platestream.alert.plate-stuck.screen%2FP1%2Fv1-" + (
        event["payload"]["recipe"].removeprefix("v1-")
    )
    assert event["resource"]["alert.news"] == "new"
    assert "although there is work (4 sites to process); nobody follows it" in event["payload"]["message"]
    assert (event["payload"]["experiment"], event["payload"]["plate"]) == ("screen", "P1")
    shown = read_alerts(root, every_s=1.0)
    assert [each.alert.kind for each in shown.standing] == ["plate-stuck"]
