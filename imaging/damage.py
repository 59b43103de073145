"""What can be wrong with a store's objects, and what is done about it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from imaging.errors import PlateError, StoredDataError
from imaging.names import stored

if TYPE_CHECKING:
    from imaging.store import Store

What = Literal[
    "site",
    "publication",
    "superseded",
    "description",
    "page",
    "pins",
    "field",
    "frozen",
    "decision",
    "fault",
    "attempt",
    "declaration",
    "promotion",
    "acquisition",
    "analysis",
    "earlier",
    "kept",
    "choice",
    "exclusion",
]

CURES: dict[What, str] = {
    "site": "its site is measured again",
    "publication": "the plate is published anew",
    "superseded": "it is given up: it cannot be made again, and a newer publication is shown",
    "description": "it is written again",
    "page": "it is written again",
    "pins": "they are made again, if they come out as they were",
    "field": "it is made again, if it comes out as it was",
    "frozen": "it cannot be made again: bring it back from a copy; where there is none, delete what is left, and the "
    "field is frozen anew from where it came, and all sites are measured anew if it comes out otherwise",
    "decision": "it is recorded again, as it was published",
    "fault": "it is recorded again",
    "attempt": "it is recorded again",
    "declaration": "it cannot be made again: bring it back from a copy",
    "promotion": "it cannot be made again: bring it back from a copy, or delete it and promote the recipe once more",
    "acquisition": "what a person chose cannot be made again: bring it back from a copy; where there is none, delete "
    "it, and it is decided again by the rule of experiment.yaml",
    "analysis": "the experiment is analysed anew",
    "earlier": "it is given up: a newer analysis is shown",
    "kept": "it is deleted, and made again when it is needed",
    "choice": "it is recorded again, as analysis.yaml says",
    "exclusion": "what a person decided cannot be made again: bring it back from a copy, or delete it and decide again "
    "by `platestream exclude`",
}
"""What ``platestream repair`` does about each kind."""


def is_damage(store: Store, error: PlateError) -> bool:
    """Whether an error is of one object, like a bad sector of a disk or a file's mode, and not of the whole store."""
    return isinstance(error, StoredDataError) or (bool(error.key) and store.local_path(error.key) is not None)


def find_object_fault(
    store: Store, key: str, size: int | None, *, size_bytes: int | None, crc32: str | None, is_quick: bool
) -> str:
    """What is wrong with an object, as the end of a sentence; empty where nothing is.

    Parameters
    ----------
    store, key, size
        Where it is, and its size in bytes as it was listed; ``None`` where it was not.
    size_bytes, crc32
        What its record says; without a checksum a table is read whole.
    is_quick
        Compare presence and size alone.

    Raises
    ------
    StoreUnavailableError
        If the storage does not answer.
    """
    if size is None:
        return "is missing"
    if size_bytes is not None and size != size_bytes:
        return f"has {size:,} bytes, and {size_bytes:,} were written"
    if is_quick:
        return ""
    try:
        data = store.read(key)
    except FileNotFoundError:
        return "is missing"
    except PlateError as error:
        if not is_damage(store, error):
            raise
        return f"cannot be read: {error.message}"  # a bad sector of a disk
    if crc32 is None:
        return "" if _is_parquet(data) else "cannot be read"
    return "" if stored(key, data)["crc32"] == crc32 else "is not what was written: its CRC-32 differs"


def _is_parquet(data: bytes) -> bool:
    import pyarrow as pa  # it takes a while, and most who know of damage read no table
    import pyarrow.parquet as pq

    try:
        pq.read_table(pa.BufferReader(data))
    except (OSError, ValueError):  # what Arrow raises for damage depends on where it is
        return False
    return True


@dataclass(frozen=True, slots=True)
class Damage:
    """One object that is not what was written, or not there.

    Parameters
    ----------
    experiment, plate, recipe
        Where it belongs; plate and recipe are empty for what belongs to an experiment.
    what
        What it is a part of.
    key
        Its address.
    fault
        What is wrong with it, as the end of a sentence: ``is missing``.
    site
        Name of the manifest that it is, or that names it.
    number
        Number of the publication that it is, or that names it.
    """

    experiment: str
    plate: str
    recipe: str
    what: What
    key: str
    fault: str
    site: str = ""
    number: int = 0

    @property
    def cure(self) -> str:
        """What a repair does about it, in words."""
        return CURES[self.what]


@dataclass
class Verification:
    """What was looked at: damage, numbers of objects and bytes compared, and what no checksum protects, by kind."""

    damages: list[Damage] = field(default_factory=list)
    objects: int = 0
    size_bytes: int = 0
    unprotected: Counter[str] = field(default_factory=Counter)

    def add(self, other: Verification) -> None:
        """Add what was found elsewhere."""
        self.damages += other.damages
        self.objects += other.objects
        self.size_bytes += other.size_bytes
        self.unprotected += other.unprotected
