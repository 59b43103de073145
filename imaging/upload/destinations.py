"""Where an acquisition is copied to: a folder of this network, or a folder of a bucket.

Both answer the same questions: what is there, does it hold what a file holds, take this file. An object is made with
create-if-absent; only who has seen that another content is there replaces it.
"""

from __future__ import annotations

import abc
import contextlib
import errno
import os
import re
import stat
import uuid
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qsl

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import GCSStore

from imaging.addresses import split_address
from imaging.errors import (
    ConfigurationError,
    ForbiddenFileError,
    PlateError,
    RefusedNameError,
    StoredDataError,
    StoreUnavailableError,
)
from imaging.google_storage import open_bucket, read_crc32c
from imaging.store import STAGING, FolderStore, Store, StoredObject, open_store
from imaging.upload.reading import PIECE, Reading
from imaging.upload.source import system_path
from imaging.upload.sums import Sums

_MD5 = re.compile(r"[0-9a-f]{32}")
_CLIENT_FAULT = re.compile(r"status code: (4\d\d)")
_FORBIDDEN = ("401", "403")
_PASSING = ("404", "408", "429")  # the bucket may be away, the request may have been slow, there may be too many
_REFUSALS = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EILSEQ, errno.EACCES, errno.EPERM)
LONGEST_KEY = 1024
"""Bytes of an object's name that Google Cloud Storage takes."""


class Destination(abc.ABC):
    """A folder ``prefix`` of a store; paths are below it."""

    checks: ClassVar[str]
    """What is held against what, in a sentence for people."""

    def __init__(self, store: Store, prefix: str) -> None:
        self.store, self.prefix = store, prefix

    @property
    def names(self) -> tuple[str, str]:
        """Experiment and plate."""
        experiment, plate = self.prefix.strip("/").split("/")[-2:]
        return experiment, plate

    def list(self) -> dict[str, StoredObject]:
        """Objects by path.

        Raises
        ------
        StoreUnavailableError
            If the store does not answer.
        """
        found = self.store.list(self.prefix).objects
        return {item.key.removeprefix(self.prefix): item for item in found}

    @abc.abstractmethod
    def find(self, path: str) -> StoredObject | None:
        """Look at one object; raises as ``list``."""

    @abc.abstractmethod
    def agrees(self, path: str, there: StoredObject, sums: Sums) -> bool:
        """Whether an object holds what has these sums; raises as ``list``."""

    @abc.abstractmethod
    def put(self, path: str, reading: Reading, *, replace: bool) -> str:
        """Send a file, check that it arrived as it is, and return the object's token.

        Raises
        ------
        FileExistsError
            If there is an object, unless it is to be replaced.
        StoredDataError
            If what arrived is not what was sent.
        RefusedNameError
            If the store answers, but does not take this file.
        StoreUnavailableError
            If the store does not answer.
        NotReadyError
            If the file changed while it was read.
        """

    def refuses(self, path: str) -> str:
        """Why no object can have this path; nothing if it can."""
        length = len((self.prefix + path).encode())
        return f"the path takes {length} bytes in the store, and {LONGEST_KEY} are allowed; shorten it" * (
            length > LONGEST_KEY
        )


class FolderDestination(Destination):
    """A folder of a disk or of a network drive."""

    checks = "each copy was read back and compared when it was sent; at the end sizes and times were compared again"

    def __init__(self, store: FolderStore, prefix: str) -> None:
        super().__init__(store, prefix)
        self.root = Path(system_path(store.root))
        try:
            (self.root / STAGING).mkdir(exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"nothing can be written to {self.root} ({error.strerror}); give this user permission, or another store"
            ) from error

    def list(self) -> dict[str, StoredObject]:
        """Objects by path; of a folder that is away nothing is believed."""
        self._check_presence()
        return super().list()

    def find(self, path: str) -> StoredObject | None:
        """Look at one file."""
        self._check_presence()
        try:
            state = os.lstat(self.root / (self.prefix + path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _of_system(error, path) from error
        if not stat.S_ISREG(state.st_mode):
            raise RefusedNameError("the store has a folder or a link where the file belongs; rename one", key=path)
        return StoredObject(self.prefix + path, state.st_size, _token(state), max(state.st_mtime, state.st_ctime))

    def agrees(self, path: str, there: StoredObject, sums: Sums) -> bool:
        """Read the file and compare its sums."""
        return there.size == sums.size and self._sums(self.root / (self.prefix + path)) == sums

    def put(self, path: str, reading: Reading, *, replace: bool) -> str:
        """Write the file beside the tree, rename it into place, and read it back."""
        self._check_presence()
        target, staged = self.root / (self.prefix + path), self.root / STAGING / uuid.uuid4().hex
        try:
            with open(staged, "wb") as file:
                for piece in reading.pieces():
                    file.write(piece)
            os.utime(staged, ns=(reading.file.mtime_ns, reading.file.mtime_ns))
            _place(staged, target, replace=replace)
            state = os.stat(target)
        except FileExistsError:
            raise
        except OSError as error:
            raise _of_system(error, path) from error
        finally:
            with contextlib.suppress(OSError):  # the drive went away: the next process cleans up
                staged.unlink(missing_ok=True)
        if self._sums(target) != reading.all_sums():
            raise StoredDataError("the copy differs from its source; it is sent again", key=path)
        return _token(state)

    def _sums(self, path: Path) -> Sums | None:
        try:
            with open(path, "rb") as file:
                return Sums.of(iter(lambda: file.read(PIECE), b""))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _of_system(error, path.name) from error

    def _check_presence(self) -> None:
        """A drive that is not mounted looks like an empty folder; ours has had the staging folder from the start."""
        if not os.path.isdir(self.root / STAGING):  # whatever the system says of a drive that is away, it is no folder
            raise StoreUnavailableError(f"the folder {self.root} is not there", key=self.prefix)


class BucketDestination(Destination):
    """A folder of a bucket of Google Cloud Storage; ``inner`` tries nothing again by itself."""

    checks = (
        "the MD5 or CRC32C that the bucket tells of each object was compared with that of its source, after it was "
        "sent and at the end"
    )

    def __init__(self, store: Store, inner: GCSStore, prefix: str, endpoint: str | None) -> None:
        super().__init__(store, prefix)
        self._inner, self._endpoint = inner, endpoint
        self._bucket, self._folder = _parts_of_address(store.url)

    def list(self) -> dict[str, StoredObject]:
        """Objects by path.

        Raises
        ------
        StoreUnavailableError
            If the bucket does not answer.
        ForbiddenFileError
            If it answers that we may not look.
        ConfigurationError
            If there is no such bucket.
        """
        try:
            return super().list()
        except StoreUnavailableError as error:
            raise self._of_listing(error.__cause__) from error

    def find(self, path: str) -> StoredObject | None:
        """Ask for one object's size and ETag."""
        try:
            meta = obstore.head(self._inner, self.prefix + path)
        except FileNotFoundError:
            return None
        except BaseError as error:
            raise StoreUnavailableError(_first_line(error), key=path) from error
        return StoredObject(meta["path"], meta["size"], str(meta["e_tag"]), meta["last_modified"].timestamp())

    def agrees(self, path: str, there: StoredObject, sums: Sums) -> bool:
        """Compare the ETag where it is an MD5, else the CRC32C, which the service knows of every object."""
        if there.size != sums.size:
            return False
        if _plain(there.token) == sums.md5:
            return True
        return self._has(path, sums)

    def put(self, path: str, reading: Reading, *, replace: bool) -> str:
        """Send the file in one request, or a large one in parts, which appear as one object or not at all."""
        key = self.prefix + path
        try:
            if reading.is_whole:
                mode = "overwrite" if replace else "create"
                put = obstore.put(self._inner, key, reading.data(), mode=mode, use_multipart=False)
            else:
                if not replace and self.find(path) is not None:
                    raise FileExistsError(path)
                pieces = reading.pieces()
                put = obstore.put(self._inner, key, pieces, use_multipart=True, chunk_size=PIECE, max_concurrency=2)
        except AlreadyExistsError as error:
            raise FileExistsError(path) from error
        except FileNotFoundError as error:
            raise StoreUnavailableError(f"there is no bucket {self._bucket}", key=path) from error
        except BaseError as error:
            raise self._of_bucket(error, path) from error
        token, sums = str(put["e_tag"]), reading.all_sums()
        if _plain(token) != sums.md5 and not self._has(path, sums):
            raise StoredDataError("the object's CRC32C differs from its source's; it is sent again", key=path)
        return token

    def _has(self, path: str, sums: Sums) -> bool:
        name = "/".join(part for part in (self._folder, self.prefix + path) if part)
        try:
            return read_crc32c(self._bucket, name, self._endpoint) == (sums.size, sums.crc32c)
        except FileNotFoundError:
            return False

    def _of_listing(self, cause: BaseException | None) -> PlateError:
        found = _CLIENT_FAULT.search(str(cause))
        status = found[1] if found else ""
        if status in _FORBIDDEN:
            return ForbiddenFileError(
                f"the bucket {self._bucket} may not be read by this account; give it the role roles/storage.objectUser"
            )
        if status == "404":
            return ConfigurationError(f"there is no bucket {self._bucket}; make it, or give another store")
        return StoreUnavailableError(_first_line(cause), key=self.prefix)

    def _of_bucket(self, error: BaseError, path: str) -> RefusedNameError | StoreUnavailableError:
        """Whether one file is refused, which no waiting helps, or the store does not serve us now."""
        reason = _first_line(error)
        status = _CLIENT_FAULT.search(str(error))
        if status and status[1] in _FORBIDDEN:
            self.find(path)  # raises, if we are refused altogether
        if status and status[1] not in _PASSING:
            return RefusedNameError(f"the bucket refuses it ({reason})", key=path)
        return StoreUnavailableError(reason, key=path)


def open_destination(url: str, prefix: str) -> Destination:
    """Open a folder ``prefix``, which ends with ``/``, of the store at an address.

    Raises
    ------
    ConfigurationError
        If the address is neither a folder nor a bucket, or if nothing can be written there.
    """
    parts = split_address(url)
    if parts.scheme == "gs":
        endpoint = dict(parse_qsl(parts.query)).get("endpoint")
        bucket, folder = _parts_of_address(url)
        inner = open_bucket(
            bucket, folder, endpoint, client={"timeout": "600s", "connect_timeout": "10s"}, retry={"max_retries": 0}
        )
        return BucketDestination(Store(url, inner), inner, prefix, endpoint)
    try:
        store = open_store(url)
    except OSError as error:
        raise ConfigurationError(f"the folder {url} cannot be made ({error.strerror}); give another store") from error
    if not isinstance(store, FolderStore):
        raise ConfigurationError(f"uploads go to a folder, file:/// or gs://bucket/prefix, got {url!r}")
    return FolderDestination(store, prefix)


def _place(staged: Path, target: Path, *, replace: bool) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, "a file lies where a folder is needed") from error
    if replace:
        os.replace(staged, target)
        return
    try:
        os.link(staged, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links, as on memory cards and some network drives
        if os.path.lexists(target):
            raise FileExistsError(str(target)) from None
        os.rename(staged, target)


def _token(state: os.stat_result) -> str:
    """Version of a file, as ``FolderStore.list`` tells it."""
    return f"{state.st_size:x}-{state.st_mtime_ns:x}"


def _of_system(error: OSError, path: str) -> RefusedNameError | StoreUnavailableError:
    if isinstance(error, StoreUnavailableError):
        return error
    reason = error.strerror or str(error)
    if error.errno in _REFUSALS:
        return RefusedNameError(f"the store's folder does not take it ({reason})", key=path)
    return StoreUnavailableError(reason, key=path)


def _parts_of_address(url: str) -> tuple[str, str]:
    parts = split_address(url)
    return parts.netloc, parts.path.strip("/")


def _plain(etag: str) -> str:
    etag = etag.strip('"').lower()
    return etag if _MD5.fullmatch(etag) else ""


def _first_line(error: BaseException | None) -> str:
    """What obstore says, without the address that everybody knows and the source of its own."""
    line = str(error).splitlines()[0]
    return line.rsplit(" - ", 1)[-1].partition(": <")[0].strip()
