"""Uploaded folders of a few objects, in memory, and the small images that lie in them."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

from imaging.folders import StoredFolder
from imaging.formats.contract import Delivery, Format
from imaging.store import Store, StoredObject, open_store
from tests.parts import require

_NUMBERS = itertools.count()


class CountedFolder(StoredFolder):
    """A plate's folder that counts what is read of each object, in bytes and in calls."""

    __slots__ = ("bytes_read", "calls")

    def __init__(self, store: Store) -> None:
        super().__init__(store, "")
        object.__setattr__(self, "bytes_read", Counter())
        object.__setattr__(self, "calls", Counter())

    def read(self, name: str, /, *, token: str, start: int = 0, size: int | None = None) -> bytes:
        data = super().read(name, token=token, start=start, size=size)
        self.bytes_read[name] += len(data)  # pyright: ignore[reportAttributeAccessIssue]
        self.calls[name] += 1  # pyright: ignore[reportAttributeAccessIssue]
        return data


def upload(files: dict[str, bytes]) -> tuple[list[StoredObject], CountedFolder]:
    """Put files into a new store, and list them."""
    store = open_store(f"memory://uploads-{next(_NUMBERS)}")
    for name, data in files.items():
        store.write(name, data)
    return list(store.list("").objects), CountedFolder(store)


def read(form: Format, files: dict[str, bytes]) -> Delivery:
    """Read uploaded files as a format does."""
    return form.read(*upload(files))


def read_shared(form: Format, folder: str) -> Delivery:
    """Read a folder of the developers' reference data as a format does; skips the test where there is none."""
    store = open_store(str(Path(require("shared")) / "data" / folder))
    return form.read(store.list("").objects, StoredFolder(store, ""))


def reasons(delivery: Delivery, kind: str) -> dict[str, str]:
    """Names that were passed over for ``ignored`` or ``unknown``, and why."""
    return {passed.name: passed.reason for passed in delivery.passed_over if passed.kind == kind}
