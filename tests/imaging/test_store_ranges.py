"""Parts of objects on every store; what names in a bucket hide stands in test_bucket_listing."""

from __future__ import annotations

import pytest

from imaging.errors import ChangedObjectError
from imaging.store import Store


def token(store: Store, key: str) -> str:
    return next(item.token for item in store.list("").objects if item.key == key)


def test_a_part_of_an_object_is_read(store: Store) -> None:
    store.write("raw/a.tif", b"0123456789")
    version = token(store, "raw/a.tif")
    assert store.read("raw/a.tif", token=version, start=2, size=3) == b"234"
    assert store.read("raw/a.tif", token=version, start=7) == b"789"
    assert store.read("raw/a.tif", token=version, size=4) == b"0123"
    assert store.read("raw/a.tif", start=8, size=100) == b"89"
    assert store.read("raw/a.tif", token=version, start=3, size=0) == b""


def test_a_part_of_another_version_is_not_read(store: Store) -> None:
    store.write("raw/a.tif", b"0123456789")
    version = token(store, "raw/a.tif")
    store.write("raw/a.tif", b"another version")
    with pytest.raises(ChangedObjectError):
        store.read("raw/a.tif", token=version, start=2, size=3)
    with pytest.raises(FileNotFoundError):
        store.read("raw/b.tif", start=2, size=3)


def test_behind_the_end_there_is_nothing(store: Store) -> None:
    store.write("raw/a.tif", b"0123456789")
    store.write("raw/empty.tif", b"")
    version = token(store, "raw/a.tif")
    assert store.read("raw/a.tif", token=version, start=10, size=5) == b""
    assert store.read("raw/a.tif", token=version, start=99) == b""
    assert store.read("raw/empty.tif", size=100) == b""
