"""Rows of one table of a publication or an analysis in BigQuery: there once, and as they were published.

The rows have a chain of jobs, each done once whoever asks for it; see ``imaging.warehouse.publications``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlsplit

from imaging.errors import RefusedLoadError
from imaging.names import hash_of
from imaging.store import Store
from imaging.warehouse import fingerprints
from imaging.warehouse.connection import Warehouse
from imaging.warehouse.jobs import change_rows, job_name, load_rows
from imaging.warehouse.sheets import Sheet

REPAIRS = 2
"""Times that the rows of a table are deleted and loaded again before it is given up."""


@dataclass
class RowsLoader:
    """Loads rows of a store into a dataset.

    Parameters
    ----------
    warehouse, store
        Where to, and where from.
    compares_all
        Compare what is loaded already too, and load again what differs or is gone.
    """

    warehouse: Warehouse
    store: Store
    compares_all: bool = False

    def load(self, sheet: Sheet, day: date) -> int:
        """Load the rows of one table, unless that is done, and hold them against the file; return the jobs begun."""
        if not sheet.rows.num_rows:
            return 0
        expected = fingerprints.of_sheet(sheet)
        if expected.rows != sheet.rows.num_rows:
            raise RefusedLoadError(f"{sheet.table.name} holds rows of another publication", key=sheet.key)
        if self.compares_all and expected in (fingerprints.of_table(self.warehouse, sheet, of) for of in (day, None)):
            return 0  # no job is asked about: BigQuery forgets them, and rows would be loaded twice
        source = google_address(self.store, sheet.key) or sheet.data
        name = job_name(self.warehouse, sheet.name, *_identity(sheet.place))
        attempt, jobs, repairs = 1, 0, 0
        while True:
            done = load_rows(self.warehouse, name, f"{sheet.name}${day:%Y%m%d}", source, first=attempt)
            jobs += done.begun
            partition = day
            found = fingerprints.of_table(self.warehouse, sheet, partition)
            if not found.rows:  # those of an earlier job may lie elsewhere
                partition = None
                found = fingerprints.of_table(self.warehouse, sheet)
            if found == expected:
                return jobs
            if found.rows or done.begun:
                if repairs == REPAIRS:
                    raise RefusedLoadError(
                        f"the rows of {sheet.table.name} in BigQuery differ from those published ({found.rows} and "
                        f"{expected.rows} rows) each time that they are loaded",
                        key=sheet.key,
                        experiment=sheet.place["experiment"],
                        plate=sheet.place.get("plate", ""),
                    )
                repairs += 1
                jobs += self._delete_rows(sheet, f"{name}-repair{done.attempt}", partition)
            # no row of an earlier job: the table was made anew since, or somebody else just repairs it
            attempt = done.attempt + 1

    def _delete_rows(self, sheet: Sheet, name: str, partition: date | None) -> int:
        where = equals(sheet.place) + fingerprints.in_partition(partition)
        sql = f"DELETE FROM `{self.warehouse.table_id(sheet.name)}` WHERE {where}"
        return change_rows(self.warehouse, name, sheet.name, sql, **sheet.place).begun


def google_address(store: Store, key: str) -> str | None:
    """``gs://`` address of an object; ``None`` where the store is elsewhere."""
    parts = urlsplit(store.url)
    if parts.scheme != "gs":
        return None
    return "gs://" + "/".join(part for part in (parts.netloc, parts.path.strip("/"), key) if part)


def equals(columns: Iterable[str]) -> str:
    """A condition that columns have the values of the parameters of their names."""
    return " AND ".join(f"{column} = @{column}" for column in columns)


def _identity(place: Mapping[str, str]) -> tuple[str, str]:
    """Name and place: plates that were uploaded twice under two names may have the same run."""
    named = place["run"] if "run" in place else place["analysis"]
    return named, hash_of(list(place.values()))[:8]
