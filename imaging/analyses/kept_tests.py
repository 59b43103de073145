"""P-values of an experiment's last analysis, so that the next one draws those alone that are new.

``_analyses/_tests/<recipe>.json`` is a projection that is written again by each analysis: the p-values that it used, by
the hash of all that each depends on. Its first line is the checksum of the second; a file that does not agree with it
is as good as none.
"""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field

from imaging.analyses.analysis_records import analyses_folder
from imaging.analyses.exchange import remembering
from imaging.errors import PlateError
from imaging.store import Store


@dataclass
class _Used(MutableMapping[str, float]):
    """P-values that are known, and of them those that were asked for or are new."""

    known: dict[str, float]
    used: dict[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> float:
        self.used[name] = self.known[name]
        return self.known[name]

    def __setitem__(self, name: str, value: float) -> None:
        self.known[name] = self.used[name] = value

    def __delitem__(self, name: str) -> None:
        del self.known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)


def key_of_tests(experiment: str, recipe: str) -> str:
    """Address of the p-values of an experiment's last analysis under a recipe."""
    return f"{analyses_folder(experiment)}_tests/{recipe}.json"


@contextlib.contextmanager
def keeping_tests(store: Store, experiment: str, recipe: str) -> Iterator[None]:
    """In the block take p-values from the last analysis, and keep those of this one when the block ends well."""
    key = key_of_tests(experiment, recipe)
    p_values = _Used(_read(store, key))
    before = len(p_values)
    with remembering(p_values):
        yield
    if len(p_values.used) != before or len(p_values) != before:
        body = json.dumps(p_values.used, sort_keys=True).encode()
        with contextlib.suppress(PlateError):  # the next analysis draws them again
            store.write(key, f"{zlib.crc32(body):08x}\n".encode() + body)


def _read(store: Store, key: str) -> dict[str, float]:
    try:
        checksum, _, body = store.read(key).partition(b"\n")
        if checksum.decode() != f"{zlib.crc32(body):08x}":
            return {}
        return json.loads(body)
    except (FileNotFoundError, PlateError, ValueError):
        return {}
