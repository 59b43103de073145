"""Which files of a store other programs may look at, and how they are read: pages of plates and their images.

    results/EXPERIMENT/PLATE/RECIPE/page/...     index.html and what it loads
    results/EXPERIMENT/_experiment/NAME/page/... the same of an experiment
    images/EXPERIMENT/PLATE.zarr/...             OME-Zarr

Whoever asks chooses the address, so nothing of it is trusted: an address is taken only when it has one of these forms,
name by name, and in a folder no link is followed below ``results`` and ``images``, not even one that somebody puts
there between two looks. (These two themselves may be links: whoever sets up the machine may put them on other disks.)
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from imaging.errors import ChangedObjectError, ForbiddenFileError, StoreUnavailableError
from imaging.store import FolderStore, Store, StoredObject, file_token

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9 ._+()-]{0,199}[A-Za-z0-9_+()-])?")
_PAGE_FILE = re.compile(r"index\.html|page\.css|page\.js|data\.js|live\.js|links\.js|[A-Za-z0-9_-]{1,100}\.webp")
_DEEPEST = 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe without a writer would be waited for
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENAMETOOLONG)
"""No such name, a link, or something that is no file."""


def find_key(path: str) -> str | None:
    """Key of the file that an address shows, or ``None`` where it shows none.

    Parameters
    ----------
    path
        Path of the address, decoded, such as ``/results/E1/P1/v1-3fa9c2d4/page/index.html``; a page may be named by
        its folder.
    """
    parts = path.removeprefix("/").split("/")
    if parts[:1] == ["results"] and parts[-1:] == [""]:
        parts[-1] = "index.html"
    if len(parts) > _DEEPEST or any(_NAME.fullmatch(part) is None or ".." in part for part in parts):
        return None
    is_page = len(parts) == 6 and (parts[0], parts[4]) == ("results", "page") and _PAGE_FILE.fullmatch(parts[5])
    is_image = len(parts) > 3 and parts[0] == "images" and parts[2].endswith(".zarr")
    return "/".join(parts) if is_page or is_image else None


class ShownFiles:
    """The files of a store that may be looked at.

    Parameters
    ----------
    store
        The store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def look_up(self, key: str) -> StoredObject:
        """A file's size, version token and time of change.

        Parameters
        ----------
        key
            As ``find_key`` gives it.

        Raises
        ------
        FileNotFoundError
            If there is no such file, or a link stands in the way.
        StoreUnavailableError
            If the storage does not answer.
        """
        if not isinstance(self._store, FolderStore):
            return self._store.look_up(key)
        descriptor = _open_below(self._store.root, key)
        try:
            state = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        return StoredObject(key, state.st_size, file_token(state), state.st_mtime)

    def read(self, shown: StoredObject, start: int, size: int) -> bytes:
        """Read ``size`` bytes from ``start`` of that version of a file.

        Raises
        ------
        FileNotFoundError
            If the file is gone.
        ChangedObjectError
            If it is another by now.
        StoreUnavailableError
            If the storage does not answer.
        """
        if not isinstance(self._store, FolderStore):
            return self._store.read(shown.key, token=shown.token, start=start, size=size)
        descriptor = _open_below(self._store.root, shown.key)
        try:
            data = os.pread(descriptor, size, start)
            is_same = file_token(os.fstat(descriptor)) == shown.token and len(data) == size
        finally:
            os.close(descriptor)
        if not is_same:
            raise ChangedObjectError("the file changed while it was read; ask again", key=shown.key)
        return data


def _open_below(root: Path, key: str) -> int:
    """Open a regular file, folder by folder from the first one on, none of them a link.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    first, *folders, name = key.split("/")
    try:
        held = os.open(root / first, os.O_RDONLY | os.O_DIRECTORY)
        for folder in folders:
            held = _step(held, folder, _FOLDER)
        held = _step(held, name, _FILE)
    except PermissionError as error:
        raise ForbiddenFileError("the pipeline's user may not read this; give permission", key=key) from error
    except OSError as error:
        if error.errno in _ABSENT:
            raise FileNotFoundError(key) from error
        raise StoreUnavailableError(f"the folder cannot be read: {error.strerror}; try again", key=key) from error
    if not stat.S_ISREG(os.fstat(held).st_mode):
        os.close(held)
        raise FileNotFoundError(key)
    return held


def _step(held: int, name: str, flags: int) -> int:
    """Open a name in an open folder, and close that."""
    try:
        return os.open(name, flags, dir_fd=held)
    finally:
        os.close(held)
