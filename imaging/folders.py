"""A folder of a store as formats of instruments read it."""

from __future__ import annotations

from dataclasses import dataclass

from imaging.store import Store


@dataclass(frozen=True, slots=True)
class StoredFolder:
    """The objects below a prefix of a store; equal for the same store and prefix.

    Parameters
    ----------
    store, prefix
        The store, and what stands before the names of the folder's objects: ``raw/screen/P1/``, or nothing.
    """

    store: Store
    prefix: str = ""

    def read(self, name: str, *, token: str, start: int = 0, size: int | None = None) -> bytes:
        """Bytes of one object of that version, from ``start``, at most ``size``.

        Raises
        ------
        ChangedObjectError, FileNotFoundError
            If that version is gone.
        ForbiddenFileError, StoreUnavailableError
            If it cannot be read.
        """
        return self.store.read(self.prefix + name, token=token, start=start, size=size)


class NoFolder:
    """A listing without its folder: names count, and nothing in it can be read."""

    def read(self, name: str, *, token: str, start: int = 0, size: int | None = None) -> bytes:  # as others
        """Find nothing.

        Raises
        ------
        FileNotFoundError
            Always.
        """
        raise FileNotFoundError(name)
