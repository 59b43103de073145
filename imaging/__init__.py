"""Plates, wells, sites, images, records, tables and pages: everything a plate is, without an orchestrator.

`open_results` is where scientists begin; it loads what it needs when it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from imaging.results.entry import Results
    from imaging.store import Store

__all__ = ["open_results"]


def open_results(store: str | Path | Store) -> Results:
    """Open the results of a store as Arrow, pandas, Polars and Dask frames; no server is asked.

    Parameters
    ----------
    store
        A folder, ``gs://bucket/prefix``, or a store that is open.

    Raises
    ------
    ConfigurationError
        If there is no such folder.
    """
    from imaging.results.entry import open_entry

    return open_entry(store)
