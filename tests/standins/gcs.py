"""A stand-in for Google Cloud Storage: in memory or in a folder, over loopback, for the real clients.

    JSON API    what google-cloud-storage speaks    /storage/v1/b/BUCKET/o/NAME, /upload/..., /download/...
    XML API     what obstore speaks                 /BUCKET/NAME, /BUCKET?list-type=2

Kept as the service does it: one winner of a create, generations that only grow, preconditions (generation and ETag),
byte ranges, listings in order of the UTF-8 bytes of names with pages of at most 1,000, simple, multipart and resumable
uploads, strong reads after writes. The XML API's ETag is the MD5 of the content, so the same bytes written again keep
it. Left out: access control, versions, metadata patches, composition, batches.

    with GcsStandIn() as gcs:
        gcs.create_bucket("lab")
        open_store(gcs.address("lab/screens"))
        storage.Client(client_options={"api_endpoint": gcs.url}, credentials=AnonymousCredentials(), project="test")

``GcsStandIn(folder)`` keeps objects as files too, ``gcs.notify(...)`` publishes what happens to them, and
``python -m tests.standins.gcs FOLDER --bucket lab`` serves a folder until it is stopped and prints its address.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

import google_crc32c

from tests.standins.objects import PAGE_LIMIT, Blob, Page, RefusedRequestError, Reply, Storage, Upload


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: _Server

    def answer(self) -> None:
        address = urlsplit(self.path)
        query = dict(parse_qsl(address.query, keep_blank_values=True))
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionAbortedError("the client went away in the middle: nothing was asked")
        is_json = address.path.startswith(("/storage/v1/b", "/upload/storage/v1/b", "/download/storage/v1/b"))
        self.server.requests.append(f"{self.command} {self.path}")
        try:
            refused = [self.server.refused[end] for end in self.server.refused if address.path.endswith(end)]
            if failures := refused or self.server.failures:
                raise RefusedRequestError(failures.pop(), "a failure that the test asked for")
            reply = self._json(address.path, query, body) if is_json else self._xml(address.path, query, body)
        except RefusedRequestError as refusal:
            reply = _error(refusal, is_json)
        self.send_response(reply.status)
        for name, value in {"Content-Type": reply.content_type, **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 the base class looks for these names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the base class names it so
        """Keep quiet; ``GcsStandIn.requests`` is the log."""

    def _json(self, path: str, query: Mapping[str, str], body: bytes) -> Reply:
        storage = self.server.storage
        found = re.fullmatch(r"(?:/upload|/download)?/storage/v1/b(?:/([^/]+)(?:/o(?:/(.+))?)?)?", path)
        if found is None:
            raise RefusedRequestError(404, f"the stand-in does not know {path}")
        bucket, name = unquote(found[1] or ""), unquote(found[2] or "")
        generation = query.get("ifGenerationMatch")
        if path.startswith("/upload/"):
            return self._upload(bucket, query, body)
        if name and self.command == "DELETE":
            storage.delete(bucket, name, generation)
            return Reply(status=204)
        if name:
            blob = storage.get(bucket, name, generation)
            return self._media(blob) if query.get("alt") == "media" else _json_reply(_resource(bucket, blob))
        if path.endswith("/o"):
            after = base64.urlsafe_b64decode(query.get("pageToken", "")).decode()
            limit = int(query.get("maxResults", PAGE_LIMIT))
            page = storage.page(bucket, query.get("prefix", ""), query.get("delimiter", ""), after, limit)
            following = {"nextPageToken": _page_token(page)} if page.following else {}
            items = [_resource(bucket, blob) for blob in page.blobs]
            return _json_reply({"kind": "storage#objects", "items": items, "prefixes": page.folders, **following})
        if self.command == "POST":
            bucket = json.loads(body)["name"]
            if not storage.create(bucket):
                raise RefusedRequestError(409, f"the bucket {bucket} exists")
        storage.bucket(bucket)
        return _json_reply({"kind": "storage#bucket", "id": bucket, "name": bucket, "location": "US"})

    def _upload(self, bucket: str, query: Mapping[str, str], body: bytes) -> Reply:
        """Take an upload of the JSON API: media, multipart or resumable."""
        storage = self.server.storage
        generation = query.get("ifGenerationMatch")
        if "upload_id" in query:
            return self._resume(query["upload_id"], body)
        kind = query.get("uploadType")
        content_type = self.headers.get("Content-Type", "application/octet-stream")
        if kind == "resumable":
            described = json.loads(body or b"{}")
            content_type = self.headers.get("X-Upload-Content-Type", "application/octet-stream")
            name = query.get("name") or described["name"]
            upload_id = storage.begin(Upload(bucket, name, content_type, generation))
            address = f"{self.server.url}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={upload_id}"
            return Reply(headers={"Location": address})
        name = query.get("name", "")
        if kind == "multipart":
            mark = b"--" + content_type.split("boundary=")[1].strip('"').encode()
            description, media = (part.split(b"\r\n\r\n", 1) for part in body.split(mark)[1:3])
            name = json.loads(description[1])["name"]
            content_type = media[0].lower().split(b"content-type:")[1].split()[0].decode()
            body = media[1].removesuffix(b"\r\n")
        return _json_reply(_resource(bucket, storage.put(bucket, name, body, content_type, generation)))

    def _resume(self, upload_id: str, body: bytes) -> Reply:
        """Take a piece of a resumable upload, or tell how much has come (``bytes */SIZE``)."""
        storage = self.server.storage
        upload = storage.upload(upload_id)
        piece = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", self.headers.get("Content-Range", ""))
        if piece is None:
            raise RefusedRequestError(400, "a piece of an upload needs a Content-Range")
        if piece[1] and int(piece[1]) == len(upload.received):
            upload.received += body
        if piece[2] == str(len(upload.received)):
            return _json_reply(_resource(upload.bucket, storage.finish(upload_id, bytes(upload.received))))
        return Reply(status=308, headers={"Range": f"bytes=0-{len(upload.received) - 1}"} if upload.received else {})

    def _xml(self, path: str, query: Mapping[str, str], body: bytes) -> Reply:
        storage = self.server.storage
        bucket, _, name = unquote(path).removeprefix("/").partition("/")
        generation = self.headers.get("x-goog-if-generation-match")
        content_type = self.headers.get("Content-Type", "application/octet-stream")
        if not name:
            return self._xml_listing(bucket, query)
        if self.command in ("GET", "HEAD"):
            return self._media(storage.get(bucket, name))
        if self.command == "POST" and "uploads" in query:
            upload_id = storage.begin(Upload(bucket, name, content_type, generation))
            return _xml_reply("InitiateMultipartUploadResult", f"<UploadId>{upload_id}</UploadId>")
        if self.command == "POST":
            parts = storage.upload(query["uploadId"]).parts
            data = b"".join(parts[number] for number in sorted(parts))
            etag = f"{hashlib.md5(data).hexdigest()}-{len(parts)}"
            blob = storage.finish(query["uploadId"], data, etag)
            reply = _xml_reply("CompleteMultipartUploadResult", f'<ETag>"{blob.etag}"</ETag>')
            reply.headers["x-goog-generation"] = str(blob.generation)
            return reply
        if self.command == "DELETE" and "uploadId" in query:
            storage.uploads.pop(query["uploadId"], None)
            return Reply(status=204)
        if self.command == "DELETE":
            storage.delete(bucket, name, generation)
            return Reply(status=204)
        if "uploadId" in query:
            storage.upload(query["uploadId"]).parts[int(query["partNumber"])] = body
            return Reply(headers={"ETag": f'"{hashlib.md5(body).hexdigest()}"'})
        blob = storage.put(bucket, name, body, content_type, generation)
        return Reply(headers={"ETag": f'"{blob.etag}"', "x-goog-generation": str(blob.generation)})

    def _xml_listing(self, bucket: str, query: Mapping[str, str]) -> Reply:
        after = base64.urlsafe_b64decode(query.get("continuation-token", "")).decode() or query.get("start-after", "")
        limit = int(query.get("max-keys", PAGE_LIMIT))
        page = self.server.storage.page(bucket, query.get("prefix", ""), query.get("delimiter", ""), after, limit)
        rows = [
            f"<Contents><Key>{escape(blob.name)}</Key><Size>{len(blob.data)}</Size>"
            f'<LastModified>{_timestamp(blob)}</LastModified><ETag>"{blob.etag}"</ETag></Contents>'
            for blob in page.blobs
        ]
        rows += [f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in page.folders]
        if page.following:
            rows.append(f"<NextContinuationToken>{_page_token(page)}</NextContinuationToken>")
        return _xml_reply("ListBucketResult", "".join(rows))

    def _media(self, blob: Blob) -> Reply:
        """Send an object or a range of it, unless the client's ETag says otherwise."""
        headers = {
            "ETag": f'"{blob.etag}"',
            "x-goog-generation": str(blob.generation),
            "x-goog-hash": f"crc32c={_crc32c(blob.data)}",
            "Last-Modified": blob.updated.strftime("%a, %d %b %Y %H:%M:%S GMT"),
            "Accept-Ranges": "bytes",
        }
        if self.headers.get("If-Match", blob.etag).strip('"') != blob.etag:
            raise RefusedRequestError(412, "conditionNotMet")
        if self.headers.get("If-None-Match", "").strip('"') == blob.etag:
            return Reply(status=304, headers=headers)
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if wanted is None:
            return Reply(blob.data, content_type=blob.content_type, headers=headers)
        size = len(blob.data)
        first = int(wanted[1]) if wanted[1] else max(0, size - int(wanted[2]))
        last = min(int(wanted[2]), size - 1) if wanted[1] and wanted[2] else size - 1
        if first > last:
            return Reply(status=416, headers={"Content-Range": f"bytes */{size}"})
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        return Reply(blob.data[first : last + 1], 206, blob.content_type, headers)


def _resource(bucket: str, blob: Blob) -> dict[str, str]:
    """Describe an object as the JSON API does."""
    md5 = hashlib.md5(blob.data)
    sums = {"md5Hash": base64.b64encode(md5.digest()).decode()} if blob.etag == md5.hexdigest() else {}
    return {
        **sums,  # of an object that was put together from parts none is known
        "kind": "storage#object",
        "id": f"{bucket}/{blob.name}/{blob.generation}",
        "bucket": bucket,
        "name": blob.name,
        "size": str(len(blob.data)),
        "generation": str(blob.generation),
        "metageneration": "1",
        "contentType": blob.content_type,
        "crc32c": _crc32c(blob.data),
        "etag": blob.etag,
        "timeCreated": _timestamp(blob),
        "updated": _timestamp(blob),
    }


def notification(event: str, bucket: str, blob: Blob, other: Blob | None) -> tuple[bytes, dict[str, str]]:
    """Word a message as the service does: its data and its attributes (payload format JSON_API_V1)."""
    resource = _resource(bucket, blob)
    attributes = {
        "notificationConfig": f"projects/_/buckets/{bucket}/notificationConfigs/1",
        "eventType": event,
        "payloadFormat": "JSON_API_V1",
        "bucketId": bucket,
        "objectId": blob.name,
        "objectGeneration": resource["generation"],
        "eventTime": resource["updated"],
    }
    if other is not None:
        word = "overwroteGeneration" if event == "OBJECT_FINALIZE" else "overwrittenByGeneration"
        attributes[word] = str(other.generation)
    return json.dumps(resource).encode(), attributes


def _crc32c(data: bytes) -> str:
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


def _timestamp(blob: Blob) -> str:
    return blob.updated.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _page_token(page: Page) -> str:
    return base64.urlsafe_b64encode(page.following.encode()).decode()


def _json_reply(value: dict[str, Any], status: int = 200) -> Reply:
    return Reply(json.dumps(value).encode(), status)


def _xml_reply(root: str, inside: str, status: int = 200) -> Reply:
    document = f'<?xml version="1.0" encoding="UTF-8"?><{root}>{inside}</{root}>'
    return Reply(document.encode(), status, "application/xml")


def _error(refusal: RefusedRequestError, is_json: bool) -> Reply:
    if not is_json:
        inside = f"<Code>{refusal.status}</Code><Message>{escape(refusal.reason)}</Message>"
        return _xml_reply("Error", inside, refusal.status)
    error = {"code": refusal.status, "message": refusal.reason, "errors": [{"reason": refusal.reason}]}
    return _json_reply({"error": error}, refusal.status)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, folder: Path | None, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.storage = Storage(folder)
        self.requests: list[str] = []
        self.failures: list[int] = []
        self.refused: dict[str, int] = {}
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that are cut off; anything else is a fault of the stand-in."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class GcsStandIn:
    """The stand-in as a context: a server on a free port of this machine.

    Parameters
    ----------
    folder
        Where objects are kept as files beside the memory; ``None`` keeps them nowhere else.
    port
        Port to listen on; 0 is a free one.

    Attributes
    ----------
    url
        Address to give to clients.
    requests
        What was asked so far, one ``METHOD /path?query`` per request.
    refused
        Error status of all requests whose encoded path ends so, by that end.
    """

    def __init__(self, folder: Path | None = None, *, port: int = 0) -> None:
        self._server = _Server(folder, port)
        self.url = self._server.url
        self.requests = self._server.requests
        self.refused = self._server.refused
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def address(self, path: str) -> str:
        """Address of a bucket, or a folder in it, for ``imaging.store.open_store``."""
        return f"gs://{path}?endpoint={self.url}"

    def create_bucket(self, name: str) -> None:
        """Make a bucket; one that exists keeps its objects."""
        self._server.storage.create(name)

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Bytes of all objects of a bucket, by name."""
        with self._server.storage.lock:
            return {name: blob.data for name, blob in self._server.storage.bucket(bucket).items()}

    def put(self, bucket: str, name: str, data: bytes) -> None:
        """Store an object of any name, such as no client of ours writes."""
        self._server.storage.put(bucket, name, data, "application/octet-stream", None)

    def notify(self, publish: Callable[[bytes, dict[str, str]], None], *, prefix: str = "") -> None:
        """Publish what happens to objects from now on, as a notification configuration of the service does.

        ``publish`` gets a message's data and attributes; ``prefix`` leaves out objects whose names begin otherwise.
        """

        def hear(event: str, bucket: str, blob: Blob, other: Blob | None) -> None:
            if blob.name.startswith(prefix):
                publish(*notification(event, bucket, blob, other))

        self._server.storage.told.append(hear)

    def clear(self) -> None:
        """Forget buckets, unfinished uploads, notifications, requests and failures to come."""
        self._server.storage.told.clear()
        with self._server.storage.lock:
            self._server.storage.buckets.clear()
            self._server.storage.uploads.clear()
        self.requests.clear()
        self._server.failures.clear()
        self._server.refused.clear()

    def fail_next(self, *statuses: int) -> None:
        """Answer the next requests, one each, with these error statuses."""
        self._server.failures[:] = reversed(statuses)


def main() -> None:
    """Serve a folder until the process is stopped."""
    parser = argparse.ArgumentParser(prog="python -m tests.standins.gcs", description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bucket", action="append", default=[])
    options = parser.parse_args()
    with GcsStandIn(options.folder, port=options.port) as gcs:
        for bucket in options.bucket:
            gcs.create_bucket(bucket)
        print(gcs.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
