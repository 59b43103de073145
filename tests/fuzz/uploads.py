"""Folders of a few objects in memory, which are forgotten with the case that they were made for."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from obstore.store import MemoryStore

from imaging.folders import StoredFolder
from imaging.store import Store, StoredObject

_NUMBERS = itertools.count()


def upload(files: Mapping[str, bytes]) -> tuple[list[StoredObject], StoredFolder]:
    """Put files into a new store, and list them."""
    store = Store(f"memory://fuzz-{next(_NUMBERS)}", MemoryStore())
    for name, data in files.items():
        store.write(name, data)
    return list(store.list("").objects), StoredFolder(store)
