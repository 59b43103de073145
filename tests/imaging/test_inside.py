"""A plane inside an object: the word that names it, and the plane out of each kind of store."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

from imaging.errors import ChangedObjectError, StoredDataError, UnreadableImageError
from imaging.folders import StoredFolder
from imaging.formats.archives import open_archives
from imaging.formats.inside import WHOLE, Inside, fetch_plane, parse_inside, read_plane
from imaging.names import digest_of
from imaging.store import Store, StoredObject
from tests.odd_files import picture, tarred, tiff, zipped

STACK = np.stack([picture() + np.uint16(number) for number in range(4)])
PAGES = tiff(STACK, photometric="minisblack", compression="zlib")


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (WHOLE, ""),
        (Inside(page=3), "page 3"),
        (Inside("sub/a.tif", archive_size=9), "member sub/a.tif; of 9"),
        (Inside("a; page 3.tif", 0, 9, 2), "member a%3B page 3.tif; at 0; of 9; page 2"),
        (Inside("100%3B of it.tif", archive_size=7), "member 100%253B of it.tif; of 7"),
        (Inside(array="0", index=(0, 2, 1)), "array 0; index 0,2,1"),
        (Inside(array="s0;x", index=()), "array s0%3Bx; index "),
    ],
)
def test_a_word_is_read_as_it_was_written(place: Inside, text: str) -> None:
    assert str(place) == text
    assert parse_inside(text) == place


@pytest.mark.parametrize("text", ["page", "page x", "leaf 3", "page 1; page 2", "array 0; index a", "member a; at -x"])
def test_another_word_is_refused(text: str) -> None:
    with pytest.raises(StoredDataError, match="names no plane inside an object"):
        parse_inside(text)


def put(store: Store, key: str, data: bytes) -> StoredObject:
    store.write(key, data)
    return next(item for item in store.list("").objects if item.key == key)


def test_an_object_that_is_one_plane_is_read_whole(store: Store) -> None:
    data = tiff(picture())
    item = put(store, "raw/P/a.tif", data)
    plane, digest, size = read_plane(store, item.key, token=item.token)
    np.testing.assert_array_equal(plane, picture())
    assert (digest, size) == (digest_of(data), len(data))


def test_a_page_is_read_by_ranges(store: Store) -> None:
    item = put(store, "raw/P/a.ome.tif", PAGES)
    for page in (4, 1):
        plane, _, size = read_plane(store, item.key, token=item.token, inside=f"page {page}", size=item.size)
        np.testing.assert_array_equal(plane, STACK[page - 1])
        assert size < item.size / 3


@pytest.mark.parametrize("name", ["a.zip", "packed.zip", "a.tar"])
def test_a_member_and_a_page_of_a_member_are_read_in_place(store: Store, name: str) -> None:
    members = {"sub/one.tif": tiff(picture()), "sub/all; 100%.ome.tif": PAGES}
    method = zipfile.ZIP_DEFLATED if name == "packed.zip" else zipfile.ZIP_STORED
    item = put(store, f"raw/P/{name}", tarred(members) if name.endswith("tar") else zipped(members, method))
    listed = StoredObject(name, item.size, item.token, item.modified)
    opened = open_archives([listed], StoredFolder(store, "raw/P/"))
    assert [member.key for member in opened.objects] == [f"{name}/{member}" for member in members]
    one, every = (opened.places[member.key] for member in opened.objects)
    plane, digest, size = read_plane(store, f"raw/P/{name}/sub/one.tif", token=item.token, inside=str(one))
    np.testing.assert_array_equal(plane, picture())
    assert (digest, size) == (digest_of(members["sub/one.tif"]), len(members["sub/one.tif"]))
    third = str(Inside(every.member, every.start, every.archive_size, page=3))
    plane, *_ = read_plane(store, f"raw/P/{name}/sub/all; 100%.ome.tif", token=item.token, inside=third, size=1)
    np.testing.assert_array_equal(plane, STACK[2])


@pytest.mark.parametrize("inside", ["", "page 2", "member a.tif; of 9000"])
def test_an_object_that_was_replaced_is_said_to_have_changed(store: Store, inside: str) -> None:
    key = "raw/P/b.zip" if inside.startswith("member") else "raw/P/b.tif"
    item = put(store, key, bytes(9_000))
    put(store, key, bytes(9_001))
    name = f"{key}/a.tif" if inside.startswith("member") else key
    with pytest.raises(ChangedObjectError):
        read_plane(store, name, token=item.token, inside=inside, size=item.size)


def test_what_cannot_be_decoded_is_fetched_and_named(store: Store) -> None:
    item = put(store, "raw/P/c.tif", b"no image")
    fetched = fetch_plane(store, item.key, token=item.token)
    assert fetched.digest == digest_of(b"no image")
    with pytest.raises(UnreadableImageError, match="not TIFF or PNG") as caught:
        fetched.decode()
    assert caught.value.key == item.key


def test_a_member_that_is_not_there_is_said_so(store: Store) -> None:
    data = zipped({"a.tif": tiff(picture())})
    item = put(store, "raw/P/d.zip", data)
    with pytest.raises(UnreadableImageError, match="holds no such member") as caught:
        read_plane(store, "raw/P/d.zip/b.tif", token=item.token, inside=f"member b.tif; of {len(data)}")
    assert caught.value.key == "raw/P/d.zip/b.tif"


def test_an_object_that_is_shorter_than_listed_is_said_to_have_changed(store: Store) -> None:
    item = put(store, "raw/P/e.tif", PAGES)
    with pytest.raises(ChangedObjectError, match="shorter than it was listed"):
        read_plane(store, item.key, token=item.token, inside="page 2", size=item.size + 5)


def test_a_member_that_is_no_image_is_not_unpacked(store: Store) -> None:
    data = zipped({"a.tif": bytes(100) + np.random.default_rng(1).bytes(9 << 20)}, zipfile.ZIP_DEFLATED)
    damaged = data[: 5 << 20] + bytes(9) + data[(5 << 20) + 9 :]  # which unpacking would find
    item = put(store, "raw/P/f.zip", damaged)
    with pytest.raises(UnreadableImageError, match="not TIFF or PNG"):
        read_plane(store, "raw/P/f.zip/a.tif", token=item.token, inside=f"member a.tif; of {item.size}")
