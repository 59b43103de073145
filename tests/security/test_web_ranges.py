"""What viewers of OME-Zarr ask of a server: HEAD, ranges of every kind, real 404s, versions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import numpy as np
import pytest
import zarr
from obstore.store import HTTPStore
from zarr.storage import ObjectStore

from flows.web import files
from imaging.store import FolderStore
from tests.security.served import Served, serve

CHUNK = "/images/E1/P1.zarr/c/0/0"
DATA = bytes(range(100))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FolderStore:
    store = FolderStore(tmp_path_factory.mktemp("ranges"))
    store.write(CHUNK[1:], DATA)
    store.write("images/E1/P1.zarr/zarr.json", b"{}")
    store.write("images/E1/P1.zarr/empty", b"")
    return store


@pytest.fixture(scope="module")
def served(store: FolderStore) -> Iterator[Served]:
    with serve(store) as served:
        yield served


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=90-", (90, 100)),
        ("bytes=-7", (93, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=95-1000", (95, 100)),
        ("bytes=99-99999999999999999", (99, 100)),
        ("bytes = 1 - 2", (1, 3)),
    ],
)
def test_a_part_is_sent_with_its_place(served: Served, asked: str, given: tuple[int, int]) -> None:
    start, end = given
    for method in ("GET", "HEAD"):
        answer = served.get(CHUNK, method=method, range=asked)
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/100"
        assert answer.headers["content-length"] == str(end - start)
        assert answer.content == (DATA[start:end] if method == "GET" else b"")


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=999999-"])
def test_a_range_behind_the_end_is_refused_with_the_size(served: Served, asked: str) -> None:
    answer = served.get(CHUNK, range=asked)
    assert (answer.status_code, answer.headers["content-range"], answer.content) == (416, "bytes */100", b"")


@pytest.mark.parametrize(
    "asked", ["", "bytes=", "bytes=-", "bytes=5-2", "bytes=0-1,5-6", "items=0-1", "bytes=a-b", "bytes=1e1-", "x" * 5000]
)
def test_what_is_no_single_range_gets_the_whole_file(served: Served, asked: str) -> None:
    answer = served.get(CHUNK, range=asked)
    assert (answer.status_code, answer.content) == (200, DATA)


def test_the_head_of_a_file_tells_what_it_is(served: Served, store: FolderStore) -> None:
    answer = served.get(CHUNK, method="HEAD")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "100")
    assert answer.headers["accept-ranges"] == "bytes"
    modified = parsedate_to_datetime(answer.headers["last-modified"]).timestamp()
    assert modified == int(os.stat(store.root / CHUNK[1:]).st_mtime)
    assert served.get("/images/E1/P1.zarr/zarr.json").headers["content-type"] == "application/json"


def test_a_missing_chunk_is_really_not_there(served: Served) -> None:
    for method in ("GET", "HEAD"):
        assert served.get("/images/E1/P1.zarr/c/0/1", method=method).status_code == 404


def test_an_empty_file_is_whole_and_has_no_part(served: Served) -> None:
    assert served.get("/images/E1/P1.zarr/empty").content == b""
    assert served.get("/images/E1/P1.zarr/empty", range="bytes=0-5").status_code == 416


def test_a_version_that_the_viewer_has_is_not_sent_again(served: Served, store: FolderStore) -> None:
    other = f"{CHUNK}-other"
    store.write(other[1:], DATA)
    tag = served.get(other).headers["etag"]
    assert served.get(other, if_none_match=tag).status_code == 304
    assert served.get(other, if_range=tag, range="bytes=0-1").status_code == 206
    store.write(other[1:], DATA + b"more")
    assert served.get(other, if_none_match=tag).status_code == 200
    assert served.get(other, if_range=tag, range="bytes=0-1").status_code == 200


def test_a_large_file_comes_whole_in_blocks(
    served: Served, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "BLOCK", 7)
    assert served.get(CHUNK).content == DATA
    assert served.get(CHUNK, range="bytes=3-96").content == DATA[3:97]


def test_zarr_reads_sharded_pixels_through_the_server(tmp_path: Path) -> None:
    pixels = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    place = tmp_path / "images" / "E1" / "P1.zarr"
    zarr.create_array(place, shape=(64, 64), shards=(64, 64), chunks=(16, 16), dtype="uint16")[:] = pixels
    with serve(FolderStore(tmp_path)) as served:
        address = f"{served.url}/images/E1/P1.zarr"
        remote = ObjectStore(HTTPStore(address, client_options={"allow_http": True}), read_only=True)
        array = zarr.open_array(remote, mode="r")
        assert np.array_equal(array[20:50, 3:40], pixels[20:50, 3:40])
