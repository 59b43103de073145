"""Objects of the Google Cloud Storage stand-in: buckets, versions, preconditions, listings, unfinished uploads."""

from __future__ import annotations

import bisect
import hashlib
import itertools
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime

PAGE_LIMIT = 1000


class RefusedRequestError(Exception):
    """A request that is answered with an error status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class Blob:
    """One version of an object."""

    name: str
    data: bytes
    generation: int
    content_type: str
    etag: str
    updated: datetime


@dataclass(frozen=True)
class Page:
    """One page of a listing; ``following`` is empty on the last."""

    blobs: list[Blob]
    folders: list[str]
    following: str


@dataclass
class Upload:
    """An upload in several requests: parts by number (XML) or bytes so far (JSON)."""

    bucket: str
    name: str
    content_type: str
    generation: str | None
    parts: dict[int, bytes] = field(default_factory=dict)
    received: bytearray = field(default_factory=bytearray)


class Storage:
    """Buckets, objects and unfinished uploads under one lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.buckets: dict[str, dict[str, Blob]] = {}
        self.uploads: dict[str, Upload] = {}
        self._generations = itertools.count(1_700_000_000_000_000)
        self._upload_ids = itertools.count(1)

    def bucket(self, name: str) -> dict[str, Blob]:
        """Objects of a bucket by name."""
        if name not in self.buckets:
            raise RefusedRequestError(404, f"the bucket {name} does not exist")
        return self.buckets[name]

    def get(self, bucket: str, name: str, generation: str | None = None) -> Blob:
        """Return the current version; ``generation`` is a precondition."""
        with self.lock:
            blob = self.bucket(bucket).get(name)
            if blob is None:
                raise RefusedRequestError(404, f"no such object: {bucket}/{name}")
            if generation is not None and int(generation) != blob.generation:
                raise RefusedRequestError(412, "conditionNotMet")
            return blob

    def put(
        self, bucket: str, name: str, data: bytes, content_type: str, generation: str | None, etag: str = ""
    ) -> Blob:
        """Store a new version; ``generation`` 0 means: only if there is none."""
        with self.lock:
            blobs = self.bucket(bucket)
            current = blobs[name].generation if name in blobs else 0
            if generation is not None and int(generation) != current:
                raise RefusedRequestError(412, "conditionNotMet")
            etag = etag or hashlib.md5(data).hexdigest()
            blobs[name] = Blob(name, data, next(self._generations), content_type, etag, datetime.now(UTC))
            return blobs[name]

    def delete(self, bucket: str, name: str, generation: str | None) -> None:
        """Remove an object; one that is not there is a 404."""
        with self.lock:
            self.get(bucket, name, generation)
            del self.bucket(bucket)[name]

    def page(self, bucket: str, prefix: str, delimiter: str, after: str, limit: int) -> Page:
        """List objects and folders after a name, at most ``limit`` together."""
        blobs: list[Blob] = []
        folders: list[str] = []
        last = ""
        with self.lock:
            stored = self.bucket(bucket)
            names = sorted(stored)
            for name in names[max(bisect.bisect_left(names, prefix), bisect.bisect_right(names, after)) :]:
                if not name.startswith(prefix):
                    break
                if folders and name.startswith(folders[-1]):
                    continue
                if len(blobs) + len(folders) == min(limit, PAGE_LIMIT):
                    return Page(blobs, folders, last)
                end = name.find(delimiter, len(prefix)) if delimiter else -1
                if end < 0:
                    blobs.append(stored[name])
                    last = name
                else:
                    folders.append(name[: end + len(delimiter)])
                    last = folders[-1] + "\U0010ffff"
        return Page(blobs, folders, "")

    def begin(self, upload: Upload) -> str:
        """Register an upload and name it."""
        with self.lock:
            self.bucket(upload.bucket)
            name = f"upload-{next(self._upload_ids)}"
            self.uploads[name] = upload
            return name

    def upload(self, name: str) -> Upload:
        """Return an unfinished upload."""
        if name not in self.uploads:
            raise RefusedRequestError(404, f"no such upload: {name}")
        return self.uploads[name]

    def finish(self, name: str, data: bytes, etag: str = "") -> Blob:
        """Turn an upload into an object."""
        with self.lock:
            upload = self.upload(name)
            blob = self.put(upload.bucket, upload.name, data, upload.content_type, upload.generation, etag)
            del self.uploads[name]
            return blob
