"""The one seam to storage: a folder, memory or Google Cloud Storage behind five verbs.

    list            objects under a prefix with size, version token and time, and the names that were refused
    read            an object or a range of it; with a token only that version (if-match)
    write           fresh data and projections
    create          create-if-absent: the verb that decides every race
    delete          absent is fine

``open_store("file:///data")``, ``open_store("/data")``, ``open_store("memory://name")``,
``open_store("gs://bucket/prefix")``. ``gs://bucket/prefix?endpoint=http://127.0.0.1:4443`` names another endpoint and
switches credentials off; what all buckets have in common is said once per process, see ``imaging.google_storage``.

Folders are listed and read by the operating system's own calls: one odd name (a newline, a latin-1 byte, a trailing
``#1``) must neither hide itself nor its neighbours, and links are not followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import GCSStore, LocalStore, MemoryStore

from imaging.addresses import FORMS, split_address
from imaging.bucket_listing import BucketFolder
from imaging.errors import (
    ConfigurationError,
    RefusedNameError,
    StoreUnavailableError,
)
from imaging.folder_walk import find_name_refusal, show_name, walk_files
from imaging.google_storage import open_bucket
from imaging.listing import Listing, RefusedName, StoredObject, find_key_refusal, sort_objects
from imaging.store_faults import changed, translated, translated_os

if TYPE_CHECKING:
    from obstore import GetOptions

STAGING = ".staging"
"""Folder under a local root where files lie before they are put into place; nothing is listed there."""

_OF_ODD_NAMES = "object with invalid path"
"""What obstore says when a listing holds a name that it does not take; nothing of that listing is had."""


class Store:
    """Objects under one root of an object store, addressed by keys with ``/`` and no leading slash."""

    def __init__(self, url: str, inner: GCSStore | MemoryStore | LocalStore) -> None:
        self.url = url
        self._inner = inner

    def list(self, prefix: str, *, min_age_s: float = 0.0) -> Listing:
        """List all objects under a folder-like prefix; ``min_age_s`` matters for folders only.

        Raises
        ------
        StoreUnavailableError
            If the storage does not answer.
        """
        with translated(prefix):
            return sort_objects(self._list(prefix.rstrip("/")))

    def list_folders(self, prefix: str) -> list[str]:
        """Names of the folders directly under a prefix, sorted."""
        with translated(prefix):
            return sorted(name for name in self._list_folders(prefix.rstrip("/")) if not find_key_refusal(name))

    def read(self, key: str, *, token: str | None = None, start: int = 0, size: int | None = None) -> bytes:
        """Read an object, or at most ``size`` bytes from ``start``; with a token, that version only.

        Raises
        ------
        FileNotFoundError
            If there is no such object.
        ChangedObjectError
            If the object has another token by now.
        """
        if size == 0:
            return b""
        options: GetOptions = {"if_match": token} if token else {}
        if start or size is not None:
            options["range"] = {"offset": start} if size is None else (start, start + size)
        with translated(key):
            try:
                return bytes(obstore.get(self._inner, key, options=options).bytes())
            except PreconditionError:
                raise
            except BaseError:  # a range behind the end; of a file there is nothing, not an error
                if "range" not in options or obstore.head(self._inner, key)["size"] > start:
                    raise
                return b""

    def write(self, key: str, data: bytes) -> None:
        """Write an object whole: fresh-named data, or a projection that may be made again."""
        with translated(key):
            obstore.put(self._inner, key, data, use_multipart=False)

    def create(self, key: str, data: bytes) -> bool:
        """Create an object unless there is one; exactly one of any number of racers gets ``True``."""
        with translated(key):
            try:
                obstore.put(self._inner, key, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                # a store may take an object, lose its answer and be asked again: then it is ours that is there
                return self.read(key) == data
        return True

    def delete(self, key: str) -> None:
        """Delete an object; one that is absent is fine."""
        with contextlib.suppress(FileNotFoundError), translated(key):
            obstore.delete(self._inner, key)

    def look_up(self, key: str) -> StoredObject:
        """An object as a listing shows it, without a listing of what lies around it.

        Raises
        ------
        FileNotFoundError
            If there is no such object.
        """
        with translated(key):
            meta = obstore.head(self._inner, key)
        return StoredObject(key, meta["size"], _token(meta), meta["last_modified"].timestamp())

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        try:
            with translated(key):
                obstore.head(self._inner, key)
        except FileNotFoundError:
            return False
        return True

    def modified(self, key: str) -> float | None:
        """When an object was last written, in Unix seconds; ``None`` if there is none."""
        try:
            with translated(key):
                return obstore.head(self._inner, key)["last_modified"].timestamp()
        except FileNotFoundError:
            return None

    def delete_staged(self, older_than_s: float) -> None:
        """Delete what killed processes left half-written, where the store keeps such things."""

    def local_path(self, key: str) -> Path | None:
        """Path of the object where the store is a folder, else ``None``."""
        return None

    def _list(self, folder: str) -> list[StoredObject]:
        return [
            StoredObject(meta["path"], meta["size"], _token(meta), meta["last_modified"].timestamp())
            for batch in obstore.list(self._inner, prefix=folder or None, chunk_size=1000)
            for meta in batch
        ]

    def _list_folders(self, folder: str) -> list[str]:
        found = obstore.list_with_delimiter(self._inner, prefix=folder or None)
        return [path.rstrip("/").rsplit("/", 1)[-1] for path in found["common_prefixes"]]


class BucketStore(Store):
    """A store in a bucket, whose listings are taken from the service's other API where a name could be no file's."""

    def __init__(self, url: str, inner: GCSStore, folder: BucketFolder) -> None:
        super().__init__(url, inner)
        self._folder = folder

    def _list(self, folder: str) -> list[StoredObject]:
        try:
            found = super()._list(folder)
        except BaseError as error:
            if _OF_ODD_NAMES not in str(error):
                raise
            return self._folder.list_objects(folder)
        # nothing stored may be an empty file or the mark of a folder, and only that API tells which
        return found if all(item.size for item in found) else self._folder.list_objects(folder)

    def _list_folders(self, folder: str) -> list[str]:
        try:
            return super()._list_folders(folder)
        except BaseError as error:
            if _OF_ODD_NAMES not in str(error):
                raise
            return self._folder.list_folders(folder)


class FolderStore(Store):
    """A store on a folder of this machine, by the operating system's own calls.

    Objects are written beside the tree, in ``.staging``, and renamed (write) or linked (create) into place: a reader
    sees a whole object or none, and whoever is killed leaves nothing where a listing looks.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        super().__init__(root.as_uri(), LocalStore(root))
        self.root = root

    def list(self, prefix: str, *, min_age_s: float = 0.0) -> Listing:
        """List regular files; those changed within ``min_age_s`` seconds are not there yet."""
        objects: list[StoredObject] = []
        refused: list[RefusedName] = []
        youngest = time.time() - min_age_s
        now = youngest + min_age_s
        folder = prefix.rstrip("/")
        with translated_os(prefix):
            found = list(walk_files(os.fsencode(self.root / folder), os.fsencode(folder), skipped=os.fsencode(STAGING)))
        for entry, key, reason in found:
            if reason:
                refused.append(RefusedName(show_name(key), reason))
                continue
            try:
                with translated_os(prefix):
                    state = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # removed since the folder was read
                continue
            if not min_age_s or not youngest < state.st_mtime <= now:
                # a copy keeps the time of its original, the time of its own arrival stands in ctime
                arrived = max(state.st_mtime, state.st_ctime)
                objects.append(StoredObject(os.fsdecode(key), state.st_size, file_token(state), arrived))
        objects.sort(key=lambda item: item.key)
        return Listing(tuple(objects), tuple(sorted(refused, key=lambda item: item.shown)))

    def look_up(self, key: str) -> StoredObject:
        """A file as a listing shows it, without a listing of what lies around it.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        """
        with translated_os(key):
            state = self.local_path(key).stat()
        return StoredObject(key, state.st_size, file_token(state), max(state.st_mtime, state.st_ctime))

    def list_folders(self, prefix: str) -> list[str]:
        """Names of the folders directly under a prefix; links and names of other encodings are left out."""
        try:
            with translated_os(prefix), os.scandir(self.root / prefix) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(name for name in names if find_name_refusal(os.fsencode(name)) is None)

    def read(self, key: str, *, token: str | None = None, start: int = 0, size: int | None = None) -> bytes:
        """Read a file or a part; with a token, only if size and time of change are still those of the listing."""
        flags = os.O_NOFOLLOW if token else 0
        path = self.local_path(key)
        with translated_os(key), open(path, "rb", opener=lambda name, mode: os.open(name, mode | flags)) as file:
            descriptor = file.fileno()
            if token and file_token(os.fstat(descriptor)) != token:
                raise changed(key)
            file.seek(start)
            data = file.read(-1 if size is None else size)
            if token and file_token(os.fstat(descriptor)) != token:
                raise changed(key)
        return data

    def write(self, key: str, data: bytes) -> None:
        """Write a file whole."""
        self._place(key, data, os.replace)

    def create(self, key: str, data: bytes) -> bool:
        """Create a file unless there is one."""
        try:
            self._place(key, data, os.link)
        except FileExistsError:
            return self.read(key) == data  # a network folder may lose the answer, as a store may
        return True

    def delete(self, key: str) -> None:
        """Delete a file; one that is absent is fine."""
        try:
            self.local_path(key).unlink()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise StoreUnavailableError(
                f"the folder let no file be deleted: {error.strerror}; give permission or check it", key=key
            ) from error

    def exists(self, key: str) -> bool:
        """Whether there is such a file."""
        return self.local_path(key).is_file()

    def modified(self, key: str) -> float | None:
        """When a file was last written, in Unix seconds; ``None`` if there is none."""
        try:
            with translated_os(key):
                return self.local_path(key).stat().st_mtime
        except (FileNotFoundError, NotADirectoryError):
            return None

    def delete_staged(self, older_than_s: float) -> None:
        """Delete what killed processes left in the staging folder."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self.root / STAGING) as entries:
            for entry in entries:
                if time.time() - entry.stat().st_mtime > older_than_s:
                    Path(entry.path).unlink(missing_ok=True)

    def local_path(self, key: str) -> Path:
        """Path of the object's file.

        Raises
        ------
        RefusedNameError
            If the key would lead out of the root.
        """
        if key.startswith("/") or ".." in key.split("/") or "\0" in key:
            raise RefusedNameError(f"the address {key!r} leads out of the store")
        return self.root / key

    def _place(self, key: str, data: bytes, place: Callable[[Path, Path], None]) -> None:
        target, staged = self.local_path(key), self.root / STAGING / uuid.uuid4().hex
        try:
            for folder in (staged.parent, target.parent):
                _make_folder(folder)
            staged.write_bytes(data)
            place(staged, target)
        except FileExistsError:
            raise
        except OSError as error:
            raise StoreUnavailableError(
                f"the folder took no file: {error.strerror}; make room or check it", key=key
            ) from error
        finally:
            with contextlib.suppress(OSError):  # a drive that went away: what is left is deleted as staged
                staged.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    """Make a folder; a file in its place is an error of its own, for FileExistsError means that an object is there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error


_MEMORY: dict[str, MemoryStore] = {}


def open_store(url: str) -> Store:
    """Open the store at an address; see the module for the forms.

    Raises
    ------
    ConfigurationError
        If the address has another form.
    """
    parts = split_address(url)
    if parts.scheme == "memory":
        return Store(url, _MEMORY.setdefault(parts.netloc, MemoryStore()))
    if parts.scheme == "gs":
        endpoint = dict(parse_qsl(parts.query)).get("endpoint")
        bucket, prefix = parts.netloc, parts.path.strip("/")
        if prefix and (refusal := find_key_refusal(prefix)):
            raise ConfigurationError(f"the address {url[:200]!r} names no folder of a bucket: {refusal}")
        client = open_bucket(bucket, prefix, endpoint)
        return BucketStore(url, client, BucketFolder(bucket, prefix, endpoint, client))
    if parts.scheme == "file" and not parts.netloc:
        return FolderStore(Path(unquote(parts.path)))
    if "://" not in url:
        return FolderStore(Path(url).expanduser().resolve())
    raise ConfigurationError(f"a store must be {FORMS}, got {url[:200]!r}")


def file_token(state: os.stat_result) -> str:
    """Version token of a file: its size and time of change; another one for what is no regular file."""
    kind = "" if stat.S_ISREG(state.st_mode) else "x"
    return f"{state.st_size:x}-{state.st_mtime_ns:x}{kind}"


def _token(meta: obstore.ObjectMeta) -> str:
    return str(meta["e_tag"] or meta["version"])
