"""Odd names in a bucket: each is named with its reason, and the objects beside it are listed and read as ever."""

from __future__ import annotations

import obstore
import pytest

from imaging.errors import ConfigurationError, RefusedNameError, StoreUnavailableError
from imaging.google_storage import list_names, open_bucket
from imaging.store import Store, open_store
from tests.standins.gcs import GcsStandIn

FOLDER = "screens/raw/E/P/"
CONTROL = "the name has a control character; rename the object"
DOTS = "the name has a folder that is a dot or two; rename the object"
EMPTY = "the name has an empty part, // or / at its end; rename the object"


@pytest.mark.parametrize(
    ("name", "shown", "reason"),
    [
        ("a//b.tif", "a//b.tif", EMPTY),
        ("/b.tif", "/b.tif", EMPTY),
        ("..", "..", DOTS),
        ("a/../b.tif", "a/../b.tif", DOTS),
        ("./b.tif", "./b.tif", DOTS),
        ("new\nline.tif", r"new\nline.tif", CONTROL),
        ("bell\x07.tif", r"bell\x07.tif", CONTROL),
        ("delete\x7f.tif", r"delete\x7f.tif", CONTROL),
        ("no-width\u200b.tif", r"no-width\u200b.tif", CONTROL),  # the usual listing takes this one
    ],
)
def test_an_odd_name_is_refused_and_hides_no_neighbour(
    gcs: GcsStandIn, gcs_store: Store, name: str, shown: str, reason: str
) -> None:
    gcs.put("lab", FOLDER + "B03.tif", b"pixels")
    plain = gcs_store.list("raw/E/P/")
    gcs.put("lab", FOLDER + name, b"odd")
    found = gcs_store.list("raw/E/P/")
    assert found.objects == plain.objects
    assert [(item.shown, item.reason) for item in found.refused] == [(f"raw/E/P/{shown}", reason)]
    assert gcs_store.read("raw/E/P/B03.tif", token=found.objects[0].token) == b"pixels"


@pytest.mark.parametrize("root", ["lab/screens", "lab"])
def test_the_folders_beside_an_odd_name_are_named(gcs: GcsStandIn, root: str) -> None:
    for name in ("P1/1", "P2/1", "new\nline", "/1", "../1", "o\x07dd/1"):
        gcs.put("lab", f"{root[4:]}/raw/E/{name}".lstrip("/"), b"1")
    assert open_store(gcs.address(root)).list_folders("raw/E/") == ["P1", "P2"]


def test_the_folders_of_a_whole_bucket_are_named_beside_an_odd_name(gcs: GcsStandIn) -> None:
    gcs.put("lab", "raw/1", b"1")
    gcs.put("lab", "new\nline", b"1")
    store = open_store(gcs.address("lab"))
    assert store.list_folders("") == ["raw"]
    assert [item.key for item in store.list("").objects] == ["raw/1"]


def test_a_listing_with_an_odd_name_is_complete_beyond_one_page(gcs: GcsStandIn, gcs_store: Store) -> None:
    for number in range(1_050):
        gcs.put("lab", f"{FOLDER}{number:04d}", b"1")
    gcs.put("lab", FOLDER + "0500/", b"odd")
    gcs.put("lab", FOLDER + "0500//1", b"odd")
    found = gcs_store.list("raw/E/P")
    assert [item.key[-4:] for item in found.objects] == [f"{number:04d}" for number in range(1_050)]
    assert [item.shown for item in found.refused] == ["raw/E/P/0500/", "raw/E/P/0500//1"]


def test_an_object_uploaded_in_parts_has_the_same_token_beside_an_odd_name(gcs: GcsStandIn, gcs_store: Store) -> None:
    client = open_bucket("lab", "screens", gcs.url)
    obstore.put(client, "raw/E/P/large.tif", b"12" * 3_000_000, use_multipart=True, chunk_size=5_000_000)
    plain = gcs_store.list("raw/E/P/")
    gcs.put("lab", FOLDER + "..", b"odd")
    gcs.requests.clear()
    assert gcs_store.list("raw/E/P/").objects == plain.objects
    assert gcs_store.list("raw/E/P/").objects == plain.objects
    assert sum("HEAD" in request for request in gcs.requests) == 1, "the object is looked up once"
    obstore.put(client, "raw/E/P/large.tif", b"21" * 3_000_000, use_multipart=True, chunk_size=5_000_000)
    [changed] = gcs_store.list("raw/E/P/").objects
    assert gcs_store.read("raw/E/P/large.tif", token=changed.token, size=2) == b"21"


def test_an_object_that_goes_while_it_is_listed_is_left_out(gcs: GcsStandIn, gcs_store: Store) -> None:
    client = open_bucket("lab", "screens", gcs.url)
    obstore.put(client, "raw/E/P/large.tif", b"12" * 3_000_000, use_multipart=True, chunk_size=5_000_000)
    gcs.put("lab", FOLDER + "..", b"odd")
    gcs.put("lab", FOLDER + "small.tif", b"1")
    gcs.refused["large%2Etif"] = 404
    assert [item.key for item in gcs_store.list("raw/E/P/").objects] == ["raw/E/P/small.tif"]


def test_marks_of_folders_are_no_objects_and_empty_files_are(gcs: GcsStandIn, gcs_store: Store) -> None:
    for name in ("", "sub/", "sub/empty.tif", "P1.zarr/"):
        gcs.put("lab", FOLDER + name, b"")
    found = gcs_store.list("raw/E/P/")
    assert [(item.key, item.size) for item in found.objects] == [("raw/E/P/sub/empty.tif", 0)]
    assert found.refused == ()


def test_a_busy_service_is_asked_again_and_one_that_refuses_is_named(gcs: GcsStandIn) -> None:
    gcs.put("lab", FOLDER + "..", b"odd")
    gcs.fail_next(503, 429)
    [page] = list_names("lab", FOLDER, gcs.url)
    assert [item["name"] for item in page["items"]] == [FOLDER + ".."]
    gcs.fail_next(403)
    with pytest.raises(StoreUnavailableError, match="screens/raw/E/P") as caught:
        list(list_names("lab", FOLDER, gcs.url))
    assert caught.value.retryable


@pytest.mark.parametrize("key", ["a//b", "a/../b", ".", "new\nline", "/a"])
def test_an_address_that_no_object_can_have_is_refused_by_every_verb(gcs_store: Store, key: str) -> None:
    verbs = [gcs_store.read, gcs_store.exists, gcs_store.modified, gcs_store.delete, gcs_store.list]
    verbs += [gcs_store.list_folders, lambda key: gcs_store.write(key, b"1"), lambda key: gcs_store.create(key, b"1")]
    for verb in verbs:
        with pytest.raises(RefusedNameError, match="is no address in the store"):
            verb(key)


@pytest.mark.parametrize("prefix", ["a/../b", "a//b", "."])
def test_a_folder_that_a_bucket_cannot_have_is_no_store(gcs: GcsStandIn, prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="names no folder of a bucket"):
        open_store(gcs.address(f"lab/{prefix}"))
