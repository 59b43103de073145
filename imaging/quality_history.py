"""How much failed of each published plate of an experiment: what tells that its quality collapses."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imaging.columns import read_time
from imaging.errors import StoredDataError
from imaging.names import plate_folders, results_prefix
from imaging.publication_records import read_publications
from imaging.records import publication_key, publication_numbers
from imaging.store import Store

MOST_PLATES = 20
"""Newest plates that are looked at."""
_READERS = 16


@dataclass(frozen=True, slots=True)
class FailedShares:
    """Shares, from 0 to 1, of a published plate's sites and images that failed; time of publication, Unix seconds.

    A site failed if it could not be measured or its verdict is ``fail``; an image if it is missing or unreadable, or
    its verdict is ``fail``.
    """

    plate: str
    published_at: float
    sites: float
    images: float


@dataclass
class QualityHistory:
    """The newest publications of an experiment under a recipe; the tables of each are read once.

    Of a published plate the publications are listed again only if it is among the newest or said to have changed: an
    experiment of a thousand plates asks for these, and not for all, whenever one more is done.
    """

    store: Store
    experiment: str
    recipe: str
    _read: dict[str, FailedShares | None] = field(default_factory=dict)
    _last: dict[str, tuple[float, str]] = field(default_factory=dict)

    def newest(self, changed: Collection[str] = ()) -> tuple[FailedShares, ...]:
        """Read how much failed of the newest plates, the newest first; withdrawn and damaged ones are left out.

        Parameters
        ----------
        changed
            Plates that may have been published since this was asked last.
        """
        plates = plate_folders(self.store, self.experiment)
        newest = sorted(self._last, key=lambda plate: self._last[plate], reverse=True)[:MOST_PLATES]
        asked = [plate for plate in plates if plate not in self._last or plate in changed or plate in newest]
        with ThreadPoolExecutor(_READERS) as pool:
            found = dict(zip(asked, pool.map(self._last_publication, asked), strict=True))
            known = {plate: self._last.get(plate) for plate in plates} | found
            self._last = {plate: last for plate, last in known.items() if last is not None}
            keys = [key for _, key in sorted(self._last.values(), reverse=True)[:MOST_PLATES]]
            self._read = dict(zip(keys, pool.map(self._shares_of, keys), strict=True))
        shares_of = [shares for shares in self._read.values() if shares is not None]
        return tuple(sorted(shares_of, key=lambda shares: shares.published_at, reverse=True))

    def _last_publication(self, plate: str) -> tuple[float, str] | None:
        """When the current publication of a plate was written, and its address."""
        prefix = results_prefix(self.experiment, plate, self.recipe)
        listing = self.store.list(f"{prefix}publications/")
        numbers = publication_numbers(prefix, listing)
        key = publication_key(prefix, numbers[-1]) if numbers else ""
        return next(((item.modified, item.key) for item in listing.objects if item.key == key), None)

    def _shares_of(self, key: str) -> FailedShares | None:
        if key in self._read:
            return self._read[key]
        try:
            (record,) = read_publications(self.store, [key])
        except StoredDataError:
            return None
        published = read_time(record["published_at"])
        if record["status"] == "withdrawn" or published is None:
            return None
        sites = self._failed_share(record, "sites", ("failed", "missing"))
        images = self._failed_share(record, "images", ("faulted", "missing"))
        if sites is None or images is None:
            return None
        return FailedShares(record["plate"], published.timestamp(), sites, images)

    def _failed_share(self, record: Mapping[str, Any], table: str, lost: tuple[str, ...]) -> float | None:
        """Share of a table's rows that failed; ``None`` where the table is not there, empty or damaged."""
        key = record["tables"].get(table)
        try:
            rows = pq.read_table(pa.BufferReader(self.store.read(key)), columns=["state", "verdict"]) if key else None
        except (OSError, ValueError, KeyError):  # what Arrow raises for damage depends on where it is
            return None
        if rows is None or not rows.num_rows:
            return None
        return sum(_is_failed(row, lost) for row in _rows(rows)) / rows.num_rows


def _rows(table: pa.Table) -> Iterator[tuple[str | None, str | None]]:
    return zip(table["state"].to_pylist(), table["verdict"].to_pylist(), strict=True)


def _is_failed(row: tuple[str | None, str | None], lost: tuple[str, ...]) -> bool:
    state, verdict = row
    return state in lost or verdict == "fail"
