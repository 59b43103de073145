"""Folders for tests of instrument formats: files in memory, and the developers' real ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from imaging.errors import ChangedObjectError
from imaging.folders import StoredFolder
from imaging.formats.contract import Delivery, Format
from imaging.store import StoredObject, open_store
from tests.parts import require


@dataclass(eq=False)
class HeldFolder:
    """Files in memory; ``reads`` are the names, starts and sizes asked for. Versions are sizes and a letter."""

    files: Mapping[str, bytes]
    version: str = "a"
    reads: list[tuple[str, int, int | None]] = field(default_factory=list)

    def objects(self) -> list[StoredObject]:
        return [StoredObject(name, len(data), f"{len(data)}{self.version}", 0.0) for name, data in self.files.items()]

    def read(self, name: str, *, token: str, start: int = 0, size: int | None = None) -> bytes:
        self.reads.append((name, start, size))
        if name not in self.files:
            raise FileNotFoundError(name)
        data = self.files[name]
        if token != f"{len(data)}{self.version}":
            raise ChangedObjectError("the object changed", key=name)
        return data[start : None if size is None else start + size]


def read_held(reader: Format, names: Iterable[str], manifests: Mapping[str, bytes] | None = None) -> Delivery:
    """A format's reading of empty files of these names and of manifests."""
    folder = HeldFolder({**dict.fromkeys(names, b""), **(manifests or {})})
    return reader.read(folder.objects(), folder)


def places(delivery: Delivery) -> dict[str, tuple[str, int, str, int, int]]:
    """Well, site, code, z and t of each plane, by its object's name."""
    return {
        plane.item.key: (str(a.well), a.site, a.code, a.z, a.t) for plane in delivery.planes for a in [plane.address]
    }


def reasons(delivery: Delivery, kind: str) -> dict[str, str]:
    """Reasons of objects that were passed over, by name."""
    return {item.name: item.reason for item in delivery.passed_over if item.kind == kind}


def shared_folder(name: str) -> tuple[list[StoredObject], StoredFolder]:
    """Listing and folder of a real delivery; the test is skipped where it is absent."""
    store = open_store(str(Path(require("shared")) / "data" / name))
    return list(store.list("").objects), StoredFolder(store)
