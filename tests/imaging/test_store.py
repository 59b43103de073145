"""The verbs of a store, on a folder, in memory and on the Google Cloud Storage stand-in; odd files in folders."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from imaging.errors import ChangedObjectError, ConfigurationError, StoreUnavailableError
from imaging.store import FolderStore, Store, open_store
from tests.standins.gcs import GcsStandIn

NOBODY = 65534


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Without the right to read everything, also where the tests run as root."""
    user = os.getuid()
    if user:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def keys(store: Store, prefix: str = "") -> list[str]:
    return [item.key for item in store.list(prefix).objects]


def token(store: Store, key: str) -> str:
    return next(item.token for item in store.list("").objects if item.key == key)


def reasons(store: Store) -> dict[str, str]:
    return {name.shown: name.reason for name in store.list("raw/").refused}


# All stores


def test_what_was_written_is_read_listed_and_found(store: Store) -> None:
    store.write("raw/A/P1/B03.tif", b"pixels")
    assert store.read("raw/A/P1/B03.tif") == b"pixels"
    assert store.exists("raw/A/P1/B03.tif")
    found = store.list("raw/A/P1/")
    assert [(item.key, item.size) for item in found.objects] == [("raw/A/P1/B03.tif", 6)]
    assert found.objects[0].modified > 1_600_000_000
    assert found.refused == ()


def test_a_listing_is_complete_and_ordered_beyond_one_page(store: Store) -> None:
    names = [f"raw/A/P1/{number % 13:02d}/{number:04d}.tif" for number in range(1_050)]
    for name in names:
        store.write(name, b"")
    assert keys(store, "raw/A/P1/") == sorted(names)


def test_a_listing_that_takes_pages_asks_for_each(gcs: GcsStandIn, gcs_store: Store) -> None:
    for number in range(1_001):
        gcs_store.write(f"raw/{number:04d}", b"1")
    gcs.requests.clear()
    assert len(keys(gcs_store, "raw/")) == 1_001
    assert len(gcs.requests) == 2


def test_a_prefix_ends_where_the_folder_ends(store: Store) -> None:
    for key in ("raw/A/P1/1", "raw/A/P10/1", "raw/A/P1.txt"):
        store.write(key, b"")
    assert keys(store, "raw/A/P1/") == ["raw/A/P1/1"]
    assert keys(store, "raw/A/P1") == ["raw/A/P1/1"]
    assert keys(store, "raw/B/") == []


def test_folders_are_named_once_and_in_order(store: Store) -> None:
    for key in ("raw/A/P2/1", "raw/A/P1/deep/1", "raw/A/P1/deep/2", "raw/A/note.txt", "raw/B/P3/1"):
        store.write(key, b"")
    assert store.list_folders("raw/A/") == ["P1", "P2"]
    assert store.list_folders("raw") == ["A", "B"]
    assert store.list_folders("raw/A/note.txt") == []
    assert store.list_folders("raw/none/") == []


def test_an_object_is_read_with_the_token_it_was_listed_with(store: Store) -> None:
    store.write("raw/1", b"one")
    assert store.read("raw/1", token=token(store, "raw/1")) == b"one"


def test_an_object_that_changed_since_the_listing_is_told_apart(store: Store) -> None:
    store.write("raw/1", b"one")
    listed = token(store, "raw/1")
    store.write("raw/1", b"two")
    with pytest.raises(ChangedObjectError, match="raw/1") as caught:
        store.read("raw/1", token=listed)
    assert caught.value.retryable
    assert store.read("raw/1", token=token(store, "raw/1")) == b"two"
    assert store.read("raw/1") == b"two"


@pytest.mark.parametrize("with_token", [False, True])
def test_an_absent_object_is_a_file_not_found(store: Store, with_token: bool) -> None:
    store.write("raw/1", b"one")
    listed = token(store, "raw/1")
    store.delete("raw/1")
    with pytest.raises(FileNotFoundError):
        store.read("raw/1", token=listed if with_token else None)


def test_exactly_one_of_eight_creators_wins(store: Store) -> None:
    for attempt in range(20):
        key = f"results/record-{attempt}.json"
        start = threading.Barrier(8)
        won = []

        def create(number: int, key: str = key, start: threading.Barrier = start, won: list[int] = won) -> None:
            start.wait()
            if store.create(key, b"%d" % number):
                won.append(number)

        threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert store.read(key) == b"%d" % won[0]


def test_nothing_but_the_objects_is_left_of_a_race(store: Store) -> None:
    store.write("results/a/data", b"old")
    threads = [
        threading.Thread(target=act, args=args)
        for number in range(8)
        for act, args in (
            (store.create, ("results/a/record", b"%d" % number)),
            (store.write, ("results/a/data", b"%d" % number)),
        )
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert keys(store) == ["results/a/data", "results/a/record"]


def test_what_exists_is_not_created_again(store: Store) -> None:
    assert store.create("results/record", b"first")
    assert not store.create("results/record", b"second")
    assert store.read("results/record") == b"first"
    store.delete("results/record")
    assert store.create("results/record", b"third")


def test_deleting_twice_is_fine(store: Store) -> None:
    store.write("raw/1", b"one")
    store.write("raw/2", b"two")
    store.delete("raw/1")
    store.delete("raw/1")
    assert not store.exists("raw/1")
    assert keys(store) == ["raw/2"]


def test_the_time_of_an_object_is_that_of_its_listing(store: Store) -> None:
    store.write("raw/1", b"one")
    assert store.modified("raw/1") == pytest.approx(store.list("raw/").objects[0].modified, abs=1.0)
    assert store.modified("raw/2") is None


def test_a_store_opened_again_holds_the_same(store: Store) -> None:
    store.write("raw/1", b"one")
    again = open_store(store.url)
    assert again.read("raw/1") == b"one"
    assert again.url == store.url


def test_names_of_people_pass_unchanged(store: Store) -> None:
    names = ["raw/Zürich (2)/A - 1 + b.tif", "raw/Zürich (2)/per%20cent.tif", "raw/Zürich (2)/小.tif"]
    for name in names:
        store.write(name, name.encode())
    assert keys(store, "raw/Zürich (2)/") == sorted(names)
    assert [store.read(name).decode() for name in names] == names


# Addresses


def test_a_folder_store_knows_the_paths_of_its_objects(folder_store: Store, tmp_path: Path) -> None:
    folder_store.write("raw/1", b"one")
    path = folder_store.local_path("raw/1")
    assert path == tmp_path / "root" / "raw" / "1"
    assert path.read_bytes() == b"one"


def test_other_stores_have_no_paths(gcs_store: Store) -> None:
    assert gcs_store.local_path("raw/1") is None
    assert open_store("memory://paths").local_path("raw/1") is None


def test_a_folder_is_addressed_by_path_or_url(tmp_path: Path) -> None:
    open_store(str(tmp_path / "a b")).write("raw/1", b"one")
    assert open_store((tmp_path / "a b").as_uri()).read("raw/1") == b"one"


def test_memory_stores_are_shared_by_name() -> None:
    open_store("memory://left").write("raw/1", b"one")
    assert open_store("memory://left").exists("raw/1")
    assert not open_store("memory://right").exists("raw/1")


def test_a_bucket_store_stays_under_its_prefix(gcs: GcsStandIn, gcs_store: Store) -> None:
    gcs_store.write("raw/1", b"one")
    bucket = open_store(gcs.address("lab"))
    bucket.write("other/2", b"two")
    assert keys(gcs_store) == ["raw/1"]
    assert keys(bucket) == ["other/2", "screens/raw/1"]


@pytest.mark.parametrize("url", ["s3://bucket", "https://host/path", "file://host/path", "gs://a[1]", "memory://[x"])
def test_an_unknown_kind_of_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(url)):
        open_store(url)


def test_a_storage_that_refuses_is_named_and_may_be_tried_again(gcs: GcsStandIn, gcs_store: Store) -> None:
    gcs_store.write("raw/1", b"one")
    gcs.fail_next(403)
    with pytest.raises(StoreUnavailableError, match="raw/1") as caught:
        gcs_store.read("raw/1")
    assert caught.value.retryable
    gcs.fail_next(503, 503)
    assert gcs_store.read("raw/1") == b"one"


# Folders


def test_a_young_file_is_not_there_yet(folder_store: FolderStore) -> None:
    folder_store.write("raw/young", b"1")
    folder_store.write("raw/old", b"2")
    old = folder_store.local_path("raw/old")
    past = old.stat().st_mtime - 60
    os.utime(old, (past, past))
    assert [item.key for item in folder_store.list("raw/", min_age_s=30).objects] == ["raw/old"]
    assert keys(folder_store, "raw/") == ["raw/old", "raw/young"]


def test_a_file_from_the_future_is_there(folder_store: FolderStore) -> None:
    folder_store.write("raw/1", b"1")
    path = folder_store.local_path("raw/1")
    future = path.stat().st_mtime + 3_600
    os.utime(path, (future, future))
    assert [item.key for item in folder_store.list("raw/", min_age_s=30).objects] == ["raw/1"]


def test_a_file_rewritten_with_the_same_size_has_another_token(folder_store: FolderStore) -> None:
    folder_store.write("raw/1", b"one")
    path = folder_store.local_path("raw/1")
    os.utime(path, ns=(1, 1))
    before = token(folder_store, "raw/1")
    os.utime(path, ns=(1, 2))
    assert token(folder_store, "raw/1") != before


@pytest.mark.parametrize(
    "name", ["a#b.tif", "a.tif#1", "ends with space ", "%2e", "back\\slash", "~", "q'uote\"s", "-rf"]
)
def test_an_unusual_but_printable_name_is_taken(folder_store: FolderStore, name: str) -> None:
    folder_store.write("raw/neighbour", b"1")
    (folder_store.root / "raw" / name).write_bytes(b"pixels")
    assert keys(folder_store, "raw/") == sorted([f"raw/{name}", "raw/neighbour"])
    assert folder_store.read(f"raw/{name}", token=token(folder_store, f"raw/{name}")) == b"pixels"


@pytest.mark.parametrize(
    ("name", "shown", "reason"),
    [
        (b"new\nline.tif", r"raw/new\nline.tif", "control character"),
        (b"bell\x07", r"raw/bell\x07", "control character"),
        (b"\xb5m.tif", r"raw/\xb5m.tif", "not UTF-8"),
    ],
)
def test_a_name_that_cannot_be_a_key_is_refused(
    folder_store: FolderStore, name: bytes, shown: str, reason: str
) -> None:
    folder_store.write("raw/neighbour", b"1")
    Path(os.fsdecode(os.fsencode(folder_store.root) + b"/raw/" + name)).write_bytes(b"pixels")
    assert keys(folder_store, "raw/") == ["raw/neighbour"]
    assert list(reasons(folder_store)) == [shown]
    assert reason in reasons(folder_store)[shown]
    assert "rename" in reasons(folder_store)[shown]


def test_a_folder_of_a_refused_name_is_refused_as_a_whole(folder_store: FolderStore) -> None:
    folder_store.write("raw/P1/1", b"1")
    folder = Path(os.fsdecode(os.fsencode(folder_store.root) + b"/raw/P\xe9"))
    folder.mkdir()
    (folder / "2").write_bytes(b"2")
    assert keys(folder_store, "raw/") == ["raw/P1/1"]
    assert list(reasons(folder_store)) == [r"raw/P\xe9"]
    assert folder_store.list_folders("raw/") == ["P1"]


def test_links_are_refused_and_not_followed(folder_store: FolderStore, tmp_path: Path) -> None:
    folder_store.write("raw/P1/1", b"1")
    raw = folder_store.root / "raw"
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").write_bytes(b"secret")
    (raw / "to-file").symlink_to(tmp_path / "secret" / "file")
    (raw / "to-folder").symlink_to(tmp_path / "secret")
    (raw / "to-nothing").symlink_to(tmp_path / "absent")
    (raw / "to-itself").symlink_to(raw)
    assert keys(folder_store, "raw/") == ["raw/P1/1"]
    assert list(reasons(folder_store)) == ["raw/to-file", "raw/to-folder", "raw/to-itself", "raw/to-nothing"]
    assert all("links are not followed" in reason for reason in reasons(folder_store).values())
    assert folder_store.list_folders("raw/") == ["P1"]


def test_a_file_replaced_by_a_link_after_the_listing_is_not_read(folder_store: FolderStore, tmp_path: Path) -> None:
    folder_store.write("raw/1", b"1")
    listed = token(folder_store, "raw/1")
    (tmp_path / "secret").write_bytes(b"2")
    path = folder_store.local_path("raw/1")
    path.unlink()
    path.symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="raw/1"):
        folder_store.read("raw/1", token=listed)


def test_what_is_no_file_is_refused(folder_store: FolderStore) -> None:
    folder_store.write("raw/1", b"1")
    os.mkfifo(folder_store.root / "raw" / "pipe")
    assert keys(folder_store, "raw/") == ["raw/1"]
    assert reasons(folder_store) == {"raw/pipe": "not a regular file"}


def test_a_folder_that_may_not_be_read_is_refused_and_hides_nothing_else(open_folder: Path) -> None:
    store = open_store(str(open_folder))
    store.write("raw/P1/1", b"1")
    store.write("raw/P2/2", b"2")
    os.chmod(open_folder / "raw" / "P1", 0o000)
    with as_nobody():
        assert keys(store, "raw/") == ["raw/P2/2"]
        assert "permission" in reasons(store)["raw/P1"]
    os.chmod(open_folder / "raw" / "P1", 0o755)


def test_a_file_that_may_not_be_read_hides_nothing_else(open_folder: Path) -> None:
    store = open_store(str(open_folder))
    store.write("raw/1", b"1")
    store.write("raw/2", b"2")
    os.chmod(open_folder / "raw" / "1", 0o000)
    with as_nobody():
        assert "raw/2" in keys(store, "raw/")
        if "raw/1" in keys(store, "raw/"):
            with pytest.raises(OSError, match="raw/1"):
                store.read("raw/1")
        else:
            assert "permission" in reasons(store)["raw/1"]


def test_a_prefix_that_is_a_file_or_absent_lists_nothing(folder_store: FolderStore) -> None:
    folder_store.write("raw/1", b"1")
    assert keys(folder_store, "raw/1/") == []
    assert keys(folder_store, "absent/") == []


def test_a_create_whose_answer_was_lost_is_known_as_ones_own(store: Store) -> None:
    assert store.create("records/one.json", b"mine")
    assert store.create("records/one.json", b"mine")
    assert not store.create("records/one.json", b"another's")
    assert store.read("records/one.json") == b"mine"
