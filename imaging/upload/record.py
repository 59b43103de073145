"""The list of what an upload brought, with sums, kept beside the images for whoever wants to check them later."""

from __future__ import annotations

from collections.abc import Iterable

from imaging.names import hash_of, to_json
from imaging.upload.ledger import Entry


def make_record(experiment: str, plate: str, done: Iterable[Entry]) -> tuple[str, bytes]:
    """Address and content of the list; the address follows from the content, so that a second one is the same one."""
    files = [
        {"name": entry.path, "size": entry.sums.size, "md5": entry.sums.md5, "crc32c": entry.sums.crc32c}
        for entry in sorted(done, key=lambda entry: entry.path)
        if entry.sums is not None
    ]
    content = {"experiment": experiment, "plate": plate, "files": files}
    return f"uploads/{experiment}/{plate}/{hash_of(content)}.json", to_json(content)
