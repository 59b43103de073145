"""The stand-in against the clients it stands in for; what these tests show, the other tests may rely on."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import obstore
import pytest
from google.api_core.exceptions import Conflict, NotFound, PreconditionFailed, RequestRangeNotSatisfiable
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from obstore.exceptions import AlreadyExistsError, PermissionDeniedError, PreconditionError
from obstore.store import GCSStore

from imaging.store import open_store
from tests.parts import ROOT
from tests.standins.gcs import GcsStandIn


@pytest.fixture
def xml(gcs: GcsStandIn) -> GCSStore:
    key = {"gcs_base_url": gcs.url, "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
    return GCSStore("lab", service_account_key=json.dumps(key), client_options={"allow_http": True})


@pytest.fixture
def bucket(gcs: GcsStandIn) -> Iterator[storage.Bucket]:
    options = {"api_endpoint": gcs.url}
    client = storage.Client(project="test", credentials=AnonymousCredentials(), client_options=options)
    yield client.bucket("lab")
    client.close()


def test_both_interfaces_see_the_same_objects(xml: GCSStore, bucket: storage.Bucket) -> None:
    obstore.put(xml, "plate 1/B03 ä&<.tif", b"pixels")
    assert bucket.blob("plate 1/B03 ä&<.tif").download_as_bytes() == b"pixels"
    bucket.blob("answer").upload_from_string(b"42")
    assert bytes(obstore.get(xml, "answer").bytes()) == b"42"
    assert [meta["path"] for meta in obstore.list(xml).collect()] == ["answer", "plate 1/B03 ä&<.tif"]


def test_a_bucket_is_made_once(gcs: GcsStandIn, bucket: storage.Bucket) -> None:
    bucket.client.create_bucket("other")
    with pytest.raises(Conflict):
        bucket.client.create_bucket("other")
    assert bucket.client.get_bucket("other").name == "other"
    with pytest.raises(NotFound):
        bucket.client.get_bucket("absent")
    gcs.create_bucket("lab")
    assert bucket.exists()


def test_exactly_one_of_eight_creators_wins(xml: GCSStore) -> None:
    start = threading.Barrier(8)
    won = []

    def create(number: int) -> None:
        start.wait()
        try:
            obstore.put(xml, "record", b"%d" % number, mode="create")
        except AlreadyExistsError:
            return
        won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert bytes(obstore.get(xml, "record").bytes()) == b"%d" % won[0]


def test_generations_grow_and_are_preconditions(bucket: storage.Bucket) -> None:
    blob = bucket.blob("record")
    blob.upload_from_string(b"one", if_generation_match=0)
    first = blob.generation
    with pytest.raises(PreconditionFailed):
        bucket.blob("record").upload_from_string(b"two", if_generation_match=0)
    blob.upload_from_string(b"two", if_generation_match=first)
    assert blob.generation > first
    with pytest.raises(PreconditionFailed):
        bucket.blob("record").download_as_bytes(if_generation_match=first)
    with pytest.raises(PreconditionFailed):
        blob.delete(if_generation_match=first)
    blob.delete(if_generation_match=blob.generation)
    assert not blob.exists()


def test_etags_are_preconditions_and_follow_the_content(xml: GCSStore) -> None:
    first = obstore.put(xml, "image", b"one")["e_tag"]
    assert bytes(obstore.get(xml, "image", options={"if_match": first}).bytes()) == b"one"
    assert obstore.put(xml, "image", b"one")["e_tag"] == first
    obstore.put(xml, "image", b"two")
    with pytest.raises(PreconditionError):
        obstore.get(xml, "image", options={"if_match": first})
    assert obstore.head(xml, "image")["e_tag"] == obstore.list(xml).collect()[0]["e_tag"]


def test_an_unchanged_object_is_not_sent_again(xml: GCSStore) -> None:
    etag = obstore.put(xml, "image", b"one")["e_tag"]
    with pytest.raises(obstore.exceptions.NotModifiedError):
        obstore.get(xml, "image", options={"if_none_match": etag})


def test_ranges_are_cut_as_http_says(xml: GCSStore, bucket: storage.Bucket) -> None:
    obstore.put(xml, "image", b"0123456789")
    assert bytes(obstore.get_range(xml, "image", start=2, end=5)) == b"234"
    assert bytes(obstore.get(xml, "image", options={"range": {"suffix": 3}}).bytes()) == b"789"
    assert bytes(obstore.get(xml, "image", options={"range": {"offset": 8}}).bytes()) == b"89"
    assert bucket.blob("image").download_as_bytes(start=7, end=100) == b"789"
    with pytest.raises(RequestRangeNotSatisfiable):
        bucket.blob("image").download_as_bytes(start=10)


def test_listings_come_in_pages_with_nothing_lost_or_doubled(
    gcs: GcsStandIn, xml: GCSStore, bucket: storage.Bucket
) -> None:
    names = sorted(f"plate/{number // 7:03d}/{number:04d}" for number in range(2_100))
    for name in names:
        obstore.put(xml, name, b"")
    gcs.requests.clear()
    assert [meta["path"] for meta in obstore.list(xml).collect()] == names
    assert len(gcs.requests) == 3
    assert [blob.name for blob in bucket.list_blobs()] == names
    assert [blob.name for blob in bucket.list_blobs(page_size=37)] == names
    assert len(obstore.list_with_delimiter(xml, "plate")["common_prefixes"]) == 300
    folders = bucket.list_blobs(prefix="plate/", delimiter="/", page_size=7)
    assert len([*folders, *folders.prefixes]) == 300
    assert [meta["path"] for meta in obstore.list(xml, offset=names[-2]).collect()] == names[-1:]


def test_a_prefix_lists_its_own_objects_and_folders_only(xml: GCSStore, bucket: storage.Bucket) -> None:
    for name in ("a/1", "a/b/2", "a/b/3", "a.txt", "aa/4"):
        obstore.put(xml, name, b"")
    found = obstore.list_with_delimiter(xml, "a")
    assert [meta["path"] for meta in found["objects"]] == ["a/1"]
    assert found["common_prefixes"] == ["a/b"]
    assert [blob.name for blob in bucket.list_blobs(prefix="a/")] == ["a/1", "a/b/2", "a/b/3"]


def test_deleting_what_is_absent_is_told(xml: GCSStore, bucket: storage.Bucket) -> None:
    obstore.put(xml, "image", b"one")
    obstore.delete(xml, "image")
    with pytest.raises(FileNotFoundError):
        obstore.get(xml, "image")
    with pytest.raises(NotFound):
        bucket.blob("image").delete()


def test_a_multipart_upload_appears_whole_and_once(xml: GCSStore) -> None:
    data = bytes(range(256)) * 80
    put = obstore.put(xml, "image", io.BytesIO(data), use_multipart=True, chunk_size=5_000)
    assert put["version"] == obstore.head(xml, "image")["version"]
    assert bytes(obstore.get(xml, "image").bytes()) == data
    assert obstore.head(xml, "image")["e_tag"].strip('"').endswith("-5")


def test_an_abandoned_multipart_upload_leaves_nothing(gcs: GcsStandIn) -> None:
    begun = httpx.post(f"{gcs.url}/lab/image?uploads")
    address = f"{gcs.url}/lab/image?uploadId={begun.text.split('UploadId>')[1].removesuffix('</')}"
    assert httpx.put(f"{address}&partNumber=1", content=b"one").status_code == 200
    assert httpx.get(f"{gcs.url}/lab/image").status_code == 404
    assert httpx.delete(address).status_code == 204
    assert httpx.post(address).status_code == 404


def test_a_resumable_upload_arrives_in_pieces(gcs: GcsStandIn, bucket: storage.Bucket) -> None:
    data = bytes(range(256)) * 3_000
    blob = bucket.blob("image", chunk_size=256 * 1024)
    blob.upload_from_file(io.BytesIO(data), if_generation_match=0, content_type="image/tiff")
    assert sum(request.startswith("PUT") for request in gcs.requests) == 3
    assert bucket.get_blob("image").content_type == "image/tiff"
    assert bucket.blob("image").download_as_bytes() == data
    with pytest.raises(PreconditionFailed):
        blob.upload_from_file(io.BytesIO(data), if_generation_match=0)


def test_an_upload_that_nobody_began_is_told(gcs: GcsStandIn) -> None:
    address = f"{gcs.url}/upload/storage/v1/b/lab/o?uploadType=resumable&upload_id=none"
    assert httpx.put(address, content=b"one", headers={"Content-Range": "bytes 0-2/3"}).status_code == 404
    assert httpx.put(f"{gcs.url}/lab/image?partNumber=1&uploadId=none", content=b"one").status_code == 404


def test_what_the_stand_in_does_not_know_is_refused(gcs: GcsStandIn) -> None:
    assert httpx.get(f"{gcs.url}/storage/v1/b/lab/acl").status_code == 404
    begun = httpx.post(f"{gcs.url}/upload/storage/v1/b/lab/o?uploadType=resumable&name=image")
    assert httpx.put(begun.headers["Location"], content=b"one").status_code == 400


def test_an_upload_in_one_request_keeps_its_kind(gcs: GcsStandIn, bucket: storage.Bucket) -> None:
    bucket.blob("described").upload_from_string(b"one", content_type="image/tiff")
    address = f"{gcs.url}/upload/storage/v1/b/lab/o?uploadType=media&name=plain"
    httpx.post(address, content=b"two", headers={"Content-Type": "image/png"}).raise_for_status()
    assert [(blob.name, blob.content_type) for blob in bucket.list_blobs()] == [
        ("described", "image/tiff"),
        ("plain", "image/png"),
    ]
    assert bucket.blob("plain").download_as_bytes() == b"two"


def test_failures_are_answered_once_each(gcs: GcsStandIn, xml: GCSStore) -> None:
    obstore.put(xml, "image", b"one")
    gcs.fail_next(503)
    assert bytes(obstore.get(xml, "image").bytes()) == b"one"
    gcs.fail_next(403)
    with pytest.raises(PermissionDeniedError):
        obstore.get(xml, "image")
    assert bytes(obstore.get(xml, "image").bytes()) == b"one"


def test_objects_are_kept_as_files_that_another_program_reads_and_a_later_stand_in_begins_with(tmp_path: Path) -> None:
    with GcsStandIn(tmp_path) as gcs:
        gcs.create_bucket("lab")
        store = open_store(gcs.address("lab/screens"))
        store.write("raw/P1/a ä.tif", b"old")
        store.write("raw/P1/a ä.tif", b"pixels")
        store.write("raw/P1/b.tif", b"gone")
        store.delete("raw/P1/b.tif")
        assert not store.create("raw/P1/a ä.tif", b"lost race")
    assert (tmp_path / "lab/screens/raw/P1/a ä.tif").read_bytes() == b"pixels"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a ä.tif"]
    with GcsStandIn(tmp_path) as gcs:
        store = open_store(gcs.address("lab/screens"))
        assert [item.key for item in store.list("raw").objects] == ["raw/P1/a ä.tif"]
        assert store.read("raw/P1/a ä.tif") == b"pixels"
        assert not store.create("raw/P1/a ä.tif", b"lost race")


def test_a_name_that_files_cannot_have_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with GcsStandIn(tmp_path / "root") as gcs:
        gcs.create_bucket("lab")
        for name in ("folder/a", "folder", "folder/a/b", "../../out"):
            address = f"{gcs.url}/upload/storage/v1/b/lab/o"
            answer = httpx.post(address, params={"uploadType": "media", "name": name}, content=b"x")
            assert answer.status_code == (200 if name == "folder/a" else 400)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()] == [
        "root/lab/folder/a"
    ]


def test_the_stand_in_serves_a_folder_as_a_program_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.standins.gcs", str(tmp_path), "--bucket", "lab"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
        try:
            store = open_store(f"gs://lab/screens?endpoint={program.stdout.readline().strip()}")
            store.write("a", b"1")
        finally:
            program.kill()
    assert (tmp_path / "lab/screens/a").read_bytes() == b"1"
