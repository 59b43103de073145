"""Objects of the Google Cloud Storage stand-in: buckets, versions, preconditions, listings, unfinished uploads.

They are kept in memory and, where a folder is given, also as files ``FOLDER/BUCKET/NAME``, which another program may
read and a later stand-in begins with. A name cannot be a file and a folder there at once.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import os
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

PAGE_LIMIT = 1000
_STAGED = ".staged-"


class RefusedRequestError(Exception):
    """A request that is answered with an error status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass
class Reply:
    """What goes back to the client."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


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
    """Buckets, objects and unfinished uploads under one lock.

    ``told`` are called with ``OBJECT_FINALIZE`` or ``OBJECT_DELETE``, the bucket, the object, and for a new object the
    version that it takes the place of, for a deleted one the version that takes its place.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.lock = threading.RLock()
        self.folder = folder
        self.buckets: dict[str, dict[str, Blob]] = {}
        self.uploads: dict[str, Upload] = {}
        self.told: list[Callable[[str, str, Blob, Blob | None], None]] = []
        self._generations = itertools.count(time.time_ns() // 1000)
        self._upload_ids = itertools.count(1)
        if folder is not None:
            self._read_folder(folder)

    def create(self, bucket: str) -> bool:
        """Make a bucket; ``False`` if there is one of that name."""
        with self.lock:
            if bucket in self.buckets:
                return False
            self.buckets[bucket] = {}
            if self.folder is not None:
                (self.folder / bucket).mkdir(parents=True, exist_ok=True)
            return True

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
            blob = Blob(name, data, next(self._generations), content_type, etag, datetime.now(UTC))
            self._write_file(bucket, blob)
            before, blobs[name] = blobs.get(name), blob
        self._tell("OBJECT_FINALIZE", bucket, blob, before)
        if before is not None:
            self._tell("OBJECT_DELETE", bucket, before, blob)
        return blob

    def delete(self, bucket: str, name: str, generation: str | None) -> None:
        """Remove an object; one that is not there is a 404."""
        with self.lock:
            blob = self.get(bucket, name, generation)
            del self.bucket(bucket)[name]
            if self.folder is not None and not name.endswith("/"):
                (self.folder / bucket / name).unlink()
        self._tell("OBJECT_DELETE", bucket, blob, None)

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

    def _tell(self, event: str, bucket: str, blob: Blob, other: Blob | None) -> None:
        for hear in list(self.told):
            hear(event, bucket, blob, other)

    def _write_file(self, bucket: str, blob: Blob) -> None:
        """Keep an object as a file, put into place whole; a name that ends in ``/`` is a folder."""
        if self.folder is None:
            return
        path, staged = self.folder / bucket / blob.name, self.folder / f"{_STAGED}{uuid.uuid4().hex}"
        if not path.resolve().is_relative_to((self.folder / bucket).resolve()):
            raise RefusedRequestError(400, f"{blob.name} leads out of the stand-in's folder")
        try:
            if blob.name.endswith("/"):
                path.mkdir(parents=True, exist_ok=True)
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            staged.write_bytes(blob.data)
            os.replace(staged, path)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise RefusedRequestError(400, f"the stand-in's folder has a file where {blob.name} needs none") from error
        finally:
            staged.unlink(missing_ok=True)

    def _read_folder(self, folder: Path) -> None:
        """Begin with the objects that an earlier stand-in left."""
        folder.mkdir(parents=True, exist_ok=True)
        for top in sorted(path for path in folder.iterdir() if path.is_dir()):
            self.buckets[top.name] = {}
            for path in sorted(path for path in top.rglob("*") if path.is_file()):
                data, name = path.read_bytes(), path.relative_to(top).as_posix()
                changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                etag = hashlib.md5(data).hexdigest()
                blob = Blob(name, data, next(self._generations), "application/octet-stream", etag, changed)
                self.buckets[top.name][name] = blob
