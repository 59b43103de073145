from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from imaging.errors import ConfigurationError
from imaging.upload.summary import Progress
from tests.imaging.upload.folders import (
    PREFIX,
    acquisition,
    contents,
    held,
    meanwhile,
    sent_in_order,
    upload,
    wait_until,
    write,
)
from tests.standins.gcs import GcsStandIn
from tests.standins.network import Network


def test_a_network_that_is_cut_costs_time_only(source: Path, gcs: GcsStandIn, bucket: str) -> None:
    acquisition(source, images=60)
    seen: list[Progress] = []
    with Network(int(gcs.url.rpartition(":")[2]), bytes_per_s=300_000) as network:

        def trouble() -> None:
            wait_until(lambda: len(sent_in_order(gcs)) > 5)
            network.cut()
            write(source / "written while it was away.dat")
            wait_until(lambda: bool(seen) and seen[-1].away_s is not None and seen[-1].files == 62)
            network.restore()
            wait_until(lambda: seen[-1].away_s is None)
            network.lose_answers(2)
            gcs.fail_next(503, 500)

        thread = meanwhile(trouble)
        summary = upload(source, f"gs://lab?endpoint={network.url}", report=seen.append)
        thread.join()
    assert summary.is_complete
    assert summary.retries > 0
    assert held(bucket) == contents(source)
    away = next(progress for progress in seen if progress.away_s is not None)
    assert away.sentence().startswith("the store has not answered for ")
    assert summary.replaced == ()


def test_a_network_that_is_away_from_the_start_is_waited_for(source: Path, gcs: GcsStandIn, bucket: str) -> None:
    acquisition(source)
    seen: list[Progress] = []
    with Network(int(gcs.url.rpartition(":")[2])) as network:
        network.cut()
        thread = meanwhile(lambda: (wait_until(lambda: len(seen) > 3 and seen[-1].waiting == 13), network.restore()))
        assert upload(source, f"gs://lab?endpoint={network.url}", report=seen.append).is_complete
        thread.join()
    assert held(bucket) == contents(source)


def test_connections_that_break_in_the_middle_of_a_body_leave_no_half_object(
    source: Path, gcs: GcsStandIn, bucket: str
) -> None:
    write(source / "a.dat", bytes(200_000))
    versions: list[str] = []
    gcs.notify(lambda data, attributes: versions.append(attributes["objectId"]), prefix=PREFIX)
    seen: list[Progress] = []
    with Network(int(gcs.url.rpartition(":")[2])) as network:
        network.reset_after(50_000)
        thread = meanwhile(lambda: (wait_until(lambda: network.severed >= 2), network.reset_after(None)))
        assert upload(source, f"gs://lab?endpoint={network.url}", report=seen.append).is_complete
        thread.join()
    assert versions == [f"{PREFIX}a.dat"]
    assert held(bucket) == contents(source)


def test_a_bucket_that_is_not_there_is_told_at_once(source: Path, gcs: GcsStandIn) -> None:
    acquisition(source)
    with pytest.raises(ConfigurationError, match="there is no bucket absent"):
        upload(source, gcs.address("absent"))


def test_an_upload_that_is_stopped_says_what_is_left_and_the_next_goes_on(source: Path, gcs: GcsStandIn) -> None:
    acquisition(source, images=60)
    stop = threading.Event()
    with Network(int(gcs.url.rpartition(":")[2]), bytes_per_s=50_000) as network:
        address = f"gs://lab?endpoint={network.url}"

        def watch(progress: Progress) -> None:
            if progress.done >= 5:
                stop.set()

        summary = upload(source, address, stop=stop, report=watch)
        assert not summary.is_complete
        assert summary.waiting == 61 - summary.files > 0
        network.bytes_per_s = None
        rest = upload(source, address)
    assert rest.is_complete
    assert rest.present >= summary.sent
    assert rest.sent + summary.sent <= 61


def test_a_folder_that_goes_away_is_an_error_and_never_an_empty_one(source: Path, tmp_path: Path) -> None:
    acquisition(source)

    def unmount(progress: Progress) -> None:
        if source.exists():
            shutil.rmtree(source)

    with pytest.raises(FileNotFoundError):
        upload(source, str(tmp_path / "store"), report=unmount, settle_s=0.3, patience_s=0.5)


def test_a_folder_that_comes_back_is_followed_on(source: Path, url: str, tmp_path: Path) -> None:
    acquisition(source)
    seen: list[Progress] = []

    def blink(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == 1:
            source.rename(tmp_path / "away")
        elif progress.folder_away_s is not None and (tmp_path / "away").exists():
            (tmp_path / "away").rename(source)

    assert upload(source, url, report=blink, follow=True, until_idle_s=0.5, settle_s=0.2).is_complete
    assert held(url) == contents(source)
    away = next(progress for progress in seen if progress.folder_away_s is not None)
    assert away.sentence() == "the folder cannot be read for 0 s (No such file or directory)"


def test_a_store_whose_drive_goes_away_is_waited_for(source: Path, tmp_path: Path) -> None:
    acquisition(source)
    store, seen = tmp_path / "store", list[Progress]()

    def unplug(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == 1:
            store.rename(tmp_path / "unplugged")
        elif progress.away_s is not None and (tmp_path / "unplugged").exists():
            assert not store.exists()
            (tmp_path / "unplugged").rename(store)

    assert upload(source, str(store), report=unplug, settle_s=0.2).is_complete
    assert held(str(store)) == contents(source)
    assert any(f"the folder {store} is not there" in progress.sentence() for progress in seen)
