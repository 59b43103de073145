"""What a store shows of a folder: its objects, and the names that are not taken, each with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from imaging.folder_walk import show_name


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object as a listing shows it: key, size in bytes, version token, time of change in Unix seconds."""

    key: str
    size: int
    token: str
    modified: float


@dataclass(frozen=True, slots=True)
class RefusedName:
    """A name in a folder that is not taken, in printable form, and why."""

    shown: str
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """Objects under a prefix, ordered by key, and the names that were refused."""

    objects: tuple[StoredObject, ...]
    refused: tuple[RefusedName, ...] = ()


def sort_objects(found: Iterable[StoredObject]) -> Listing:
    """Order objects by key and take out those whose names could be no file's."""
    objects: list[StoredObject] = []
    refused: list[RefusedName] = []
    for item in found:
        reason = find_key_refusal(item.key)
        if reason:
            refused.append(RefusedName(show_name(item.key.encode(errors="surrogatepass")), reason))
        else:
            objects.append(item)
    objects.sort(key=lambda item: item.key)
    return Listing(tuple(objects), tuple(sorted(refused, key=lambda item: item.shown)))


def find_key_refusal(key: str) -> str:
    """Why an object's name could not be the path of a file; empty if it could."""
    parts = key.split("/")
    if not key.isprintable():
        return "the name has a control character; rename the object"
    if "." in parts or ".." in parts:
        return "the name has a folder that is a dot or two; rename the object"
    return "the name has an empty part, // or / at its end; rename the object" if "" in parts else ""
