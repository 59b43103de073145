"""A cache folder of a test's own that spares its Prefect server the creation of its database, half of its start."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from flows.server import copy_prepared
from flows.settings import Settings


def prepare_cache(folder: Path) -> Path:
    """Make a cache folder with the database that this user's servers begin with; with none where there is none."""
    prepared = f"prefect-{version('prefect')}"
    (folder / prepared).mkdir(parents=True)
    copy_prepared(Settings().cache_folder / prepared, folder / prepared)
    return folder
