"""Names and addresses: which names are taken, where things lie under the root, hashes of what they hold."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from typing import TYPE_CHECKING, Any

from imaging.errors import RefusedNameError

if TYPE_CHECKING:
    from pathlib import Path

    from imaging.store import Store

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._+()-]{0,98}[A-Za-z0-9_+()-])?")

EXPERIMENTAL = "+experimental"
"""Ends the name of a recipe that came with an upload; no declared recipe can be called so."""


def check_name(kind: str, text: str) -> str:
    """Return the name of an experiment, plate or recipe when it can serve as folder, key and label.

    Raises
    ------
    RefusedNameError
        Unless it has 1 to 100 letters, digits, spaces and ``. _ + ( ) -``, and begins with a letter or digit.
    """
    if _NAME.fullmatch(text) is None or ".." in text:
        raise RefusedNameError(
            f"the {kind} name {text[:120]!r} is refused: use 1 to 100 letters, digits, spaces and . _ + ( ) -, "
            "beginning with a letter or digit; rename the folder"
        )
    return text


def raw_prefix(experiment: str, plate: str) -> str:
    """Folder of a plate's uploaded images; never written by us."""
    return f"raw/{experiment}/{plate}/"


def experiment_key(experiment: str) -> str:
    """Address of an experiment's declaration."""
    return f"experiments/{experiment}/experiment.yaml"


def plate_zarr(experiment: str, plate: str) -> str:
    """Address of a plate's OME-Zarr."""
    return f"images/{experiment}/{plate}.zarr"


def results_prefix(experiment: str, plate: str, recipe: str) -> str:
    """Folder of the records, parts and publications of one plate under one recipe."""
    return f"results/{experiment}/{plate}/{recipe}/"


def plate_folders(store: Store, experiment: str) -> list[str]:
    """Plates of an experiment that have results; folders that begin with ``_`` hold records of the experiment."""
    return [name for name in store.list_folders(f"results/{experiment}/") if not name.startswith("_")]


def is_experimental(recipe: str) -> bool:
    """Whether a recipe's id is that of parameters that came with an upload: ``v1+experimental-3fa9c2d4``."""
    return f"{EXPERIMENTAL}-" in recipe


def to_json(value: Any) -> bytes:
    """Write canonical JSON: sorted keys, no spaces, UTF-8, and no NaN (``ValueError``)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def hash_of(value: Any) -> str:
    """Name a JSON-able value by its content: 20 hexadecimal digits of the SHA-256 of its canonical JSON."""
    return hashlib.sha256(to_json(value)).hexdigest()[:20]


def digest_of(data: bytes | memoryview) -> str:
    """Name bytes by their content: 32 hexadecimal digits of their SHA-256."""
    return hashlib.sha256(data).hexdigest()[:32]


def stored(key: str, data: bytes) -> dict[str, Any]:
    """Describe an object for a record: key, size in bytes and CRC-32 of its content."""
    return {"key": key, "size_bytes": len(data), "crc32": f"{zlib.crc32(data):08x}"}


def stored_file(key: str, path: Path) -> dict[str, Any]:
    """Describe an object that is a file of this machine as ``stored`` does, without holding it in memory."""
    crc32, size = 0, 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            crc32, size = zlib.crc32(block, crc32), size + len(block)
    return {"key": key, "size_bytes": size, "crc32": f"{crc32:08x}"}
