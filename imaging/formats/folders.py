"""A plate's folder of uploads as formats see it."""

from __future__ import annotations

from dataclasses import dataclass

from imaging.store import Store


@dataclass(frozen=True, slots=True)
class PlateFolder:
    """A folder of a store; names are paths inside it. Equal folders share what is kept of their objects."""

    store: Store
    prefix: str

    def read(self, name: str, *, token: str, start: int = 0, size: int | None = None) -> bytes:
        """Bytes of one object of that version, from ``start``, at most ``size``.

        Raises
        ------
        ChangedObjectError, FileNotFoundError
            If that version is gone.
        """
        return self.store.read(self.prefix + name, token=token, start=start, size=size)
