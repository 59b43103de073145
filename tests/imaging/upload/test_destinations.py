from __future__ import annotations

import errno
import functools
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from imaging.errors import (
    ConfigurationError,
    ForbiddenFileError,
    RefusedNameError,
    StoredDataError,
    StoreUnavailableError,
)
from imaging.store import open_store
from imaging.upload.destinations import Destination, open_destination
from imaging.upload.reading import WHOLE, NotReadyError, Reading, open_to_read
from imaging.upload.source import SourceFile
from imaging.upload.sums import Sums
from tests.imaging.upload.folders import PREFIX, write
from tests.standins.gcs import GcsStandIn
from tests.standins.network import Network


@pytest.fixture
def destination(url: str) -> Destination:
    return open_destination(url, PREFIX)


def reading(folder: Path, name: str, data: bytes | None = None) -> Reading:
    path = folder / name if data is None else write(folder / name, data)
    return Reading(SourceFile(name, path.stat().st_size, path.stat().st_mtime_ns), folder)


def test_a_file_that_was_put_is_listed_found_and_agrees(destination: Destination, url: str, tmp_path: Path) -> None:
    name = "Images/é 日本 #1%41.tif"
    source = reading(tmp_path, name, b"pixels")
    token = destination.put(name, source, replace=False)
    there = destination.find(name)
    assert there is not None
    assert (there.size, there.token) == (6, token)
    assert destination.list()[name].token == token
    assert destination.agrees(name, there, source.all_sums())
    assert not destination.agrees(name, there, Sums.of([b"Pixels"]))
    assert not destination.agrees(name, there, Sums.of([b"longer than that"]))
    assert open_store(url).read(PREFIX + name) == b"pixels"
    assert destination.names == ("screen", "P1")


def test_an_empty_file_is_an_object_too(destination: Destination, tmp_path: Path) -> None:
    destination.put("empty", reading(tmp_path, "empty", b""), replace=False)
    assert destination.list()["empty"].size == 0


def test_what_is_there_is_never_written_over_by_chance(destination: Destination, url: str, tmp_path: Path) -> None:
    destination.put("a.tif", reading(tmp_path, "a.tif", b"first"), replace=False)
    second = reading(tmp_path, "a.tif", b"second")
    with pytest.raises(FileExistsError):
        destination.put("a.tif", second, replace=False)
    assert open_store(url).read(f"{PREFIX}a.tif") == b"first"
    destination.put("a.tif", second, replace=True)
    assert open_store(url).read(f"{PREFIX}a.tif") == b"second"


def test_a_large_file_goes_in_pieces_and_is_compared_too(destination: Destination, tmp_path: Path) -> None:
    large = os.urandom(1 << 20) * (WHOLE // (1 << 20) + 1)
    source = reading(tmp_path, "large.tif", large)
    assert not source.is_whole
    destination.put("large.tif", source, replace=False)
    there = destination.find("large.tif")
    assert there is not None
    assert destination.agrees("large.tif", there, Sums.of([large]))
    with pytest.raises(FileExistsError):
        destination.put("large.tif", source, replace=False)


@pytest.mark.parametrize("size", [100, WHOLE + 100])
def test_a_file_that_changes_while_it_is_read_does_not_become_an_object(
    destination: Destination, tmp_path: Path, size: int
) -> None:
    path = write(tmp_path / "a.tif", bytes(size))
    reads = 0

    def grow(name: str):
        nonlocal reads
        reads += 1
        with path.open("ab") as file:
            file.write(b"more")
        return open_to_read(name)

    source = reading(tmp_path, "a.tif")
    source.open_file = grow
    with pytest.raises(NotReadyError, match="it changes"):
        destination.put("a.tif", source, replace=False)
    assert reads
    assert destination.find("a.tif") is None


def test_a_path_longer_than_the_store_takes_is_refused_with_a_sentence(destination: Destination) -> None:
    assert destination.refuses("a" * 200) == ""
    assert destination.refuses("/".join(["a" * 200] * 6)) == (
        "the path takes 1219 bytes in the store, and 1024 are allowed; shorten it"
    )


def test_only_folders_and_buckets_take_uploads() -> None:
    with pytest.raises(ConfigurationError, match="uploads go to a folder"):
        open_destination("memory://lab", PREFIX)


def test_a_copy_keeps_the_time_of_its_original(tmp_path: Path) -> None:
    destination = open_destination(str(tmp_path / "store"), PREFIX)
    source = reading(tmp_path, "a.tif", b"pixels")
    os.utime(tmp_path / "a.tif", ns=(0, 1_600_000_000_000_000_000))
    source = reading(tmp_path, "a.tif")
    destination.put("a.tif", source, replace=False)
    assert (tmp_path / "store" / PREFIX / "a.tif").stat().st_mtime_ns == 1_600_000_000_000_000_000
    assert list((tmp_path / "store" / ".staging").iterdir()) == []


def test_a_folder_that_is_not_mounted_any_more_is_away_and_not_empty(tmp_path: Path) -> None:
    destination = open_destination(str(tmp_path / "store"), PREFIX)
    source = reading(tmp_path, "a.tif", b"pixels")
    destination.put("a.tif", source, replace=False)
    shutil.rmtree(tmp_path / "store")
    (tmp_path / "store").mkdir()  # the place where the drive was
    put = functools.partial(destination.put, "a.tif", source, replace=True)
    for ask in (destination.list, functools.partial(destination.find, "a.tif"), put):
        with pytest.raises(StoreUnavailableError, match="is not there"):
            ask()
    assert list((tmp_path / "store").iterdir()) == []


def test_a_file_where_the_store_needs_a_folder_is_refused(tmp_path: Path) -> None:
    destination = open_destination(str(tmp_path / "store"), PREFIX)
    write(tmp_path / "store" / PREFIX / "sub", b"a file")
    with pytest.raises(RefusedNameError, match="the store's folder does not take it"):
        destination.put("sub/a.tif", reading(tmp_path, "sub/a.tif", b"pixels"), replace=False)
    (tmp_path / "store" / PREFIX / "folder").mkdir()
    with pytest.raises(RefusedNameError, match="a folder or a link where the file belongs"):
        destination.find("folder")


def test_a_store_that_is_a_file_is_refused_at_once(tmp_path: Path) -> None:
    write(tmp_path / "store", b"")
    with pytest.raises(ConfigurationError, match="cannot be made"):
        open_destination(str(tmp_path / "store"), PREFIX)


def test_a_bucket_that_is_not_there_or_not_ours_is_told(gcs: GcsStandIn) -> None:
    with pytest.raises(ConfigurationError, match="there is no bucket absent"):
        open_destination(gcs.address("absent"), PREFIX).list()
    gcs.fail_next(403)
    with pytest.raises(ForbiddenFileError, match=r"roles/storage\.objectUser"):
        open_destination(gcs.address("lab"), PREFIX).list()


def test_a_refusal_of_one_file_is_told_from_a_refusal_of_all(gcs: GcsStandIn, tmp_path: Path) -> None:
    destination, source = open_destination(gcs.address("lab"), PREFIX), reading(tmp_path, "a.tif", b"pixels")
    for status in (400, 403):
        gcs.fail_next(status)
        with pytest.raises(RefusedNameError, match="the bucket refuses it"):
            destination.put("a.tif", source, replace=False)
    for statuses in ((403, 403), (401, 401), (429,), (500,), (503,)):
        gcs.fail_next(*statuses)
        with pytest.raises(StoreUnavailableError):
            destination.put("a.tif", source, replace=False)
    destination.put("a.tif", source, replace=False)


def test_an_object_that_is_damaged_on_its_way_is_found_out(gcs: GcsStandIn, tmp_path: Path) -> None:
    source = reading(tmp_path, "a.tif", b"pixels")
    with Network(int(gcs.url.rpartition(":")[2])) as network:
        network.replace(b"pixels", b"pixelz")
        destination = open_destination(f"gs://lab?endpoint={network.url}", PREFIX)
        with pytest.raises(StoredDataError, match="differs"):
            destination.put("a.tif", source, replace=False)


def test_a_service_that_does_not_answer_about_a_sum_is_away(gcs: GcsStandIn, tmp_path: Path) -> None:
    destination = open_destination(gcs.address("lab"), PREFIX)
    destination.put("a.tif", reading(tmp_path, "a.tif", b"pixels"), replace=False)
    there = destination.find("a.tif")
    assert there is not None
    gcs.fail_next(503)
    assert not destination.agrees("a.tif", there, Sums.of([b"pixelz"])), "a busy service is asked again"
    gcs.fail_next(403)
    with pytest.raises(StoreUnavailableError):
        destination.agrees("a.tif", there, Sums.of([b"pixelz"]))


def test_a_drive_that_the_system_cannot_reach_is_away_whatever_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = open_destination(str(tmp_path / "store"), PREFIX)
    source = reading(tmp_path, "a.tif", b"pixels")
    look = os.stat

    def lose(path: Any, *args: Any, **options: Any) -> os.stat_result:
        if str(path).startswith(str(tmp_path / "store")):
            raise OSError(errno.EHOSTDOWN, "Host is down")
        return look(path, *args, **options)

    monkeypatch.setattr(os, "stat", lose)
    put = functools.partial(destination.put, "a.tif", source, replace=True)
    for ask in (destination.list, functools.partial(destination.find, "a.tif"), put):
        with pytest.raises(StoreUnavailableError, match="is not there"):
            ask()


def test_a_drive_that_goes_away_in_the_middle_of_a_file_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = open_destination(str(tmp_path / "store"), PREFIX)
    source = reading(tmp_path, "a.tif", b"pixels")

    def lose(*args: Any, **options: Any) -> None:
        raise OSError(errno.EHOSTDOWN, "Host is down")

    monkeypatch.setattr(os, "utime", lose)
    monkeypatch.setattr(os, "unlink", lose)
    with pytest.raises(StoreUnavailableError, match="Host is down"):
        destination.put("a.tif", source, replace=False)
