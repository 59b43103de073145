"""The state of all plates as a page shows it: read in a thread of its own, and only while somebody asks.

A look lists what lies around every plate, which in a big lab takes a while. So whoever asks gets the last look at
once, and by asking makes the next one begin, which is never sooner than ten times as long as the last one took.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from typing import Any

from imaging.errors import PlateError
from imaging.names import plate_zarr
from imaging.page_parts import experiment_page_folder

EVERY_S, RESTS = 5.0, 10.0
"""Least seconds between two looks, and how many times as long as the last one took."""
FIRST_S = 10.0
"""Seconds that whoever asks first waits for the first look."""
_SHOWN = (
    "experiment",
    "plate",
    "recipe",
    "is_experimental",
    "state",
    "images_expected",
    "images_arrived",
    "images_missing",
    "sites_expected",
    "sites_done",
    "sites_failed",
    "sites_missing",
    "files_faulted",
    "files_unknown",
    "is_followed",
    "publication",
    "status",
    "page",
    "problem",
    "refusal",
    "suspicions",
    "shown_instead",
)

_FAULTS = (PlateError, OSError, ValueError, LookupError, TypeError, AttributeError)
"""What may go wrong with a look: a storage that is not there, and records that are not what they should be."""

log = logging.getLogger(__name__)

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Look:
    """The plates, when they were looked at (Unix seconds; 0 for never), and what was wrong with the last look."""

    plates: tuple[dict[str, Any], ...] = ()
    made_at: float = 0.0
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as the server's clients get it."""
        return {"made_at": round(self.made_at, 3), "problem": self.problem, "plates": list(self.plates)}


class Board:
    """What there is to see of all plates.

    Parameters
    ----------
    read
        Reads the plates, as ``flows.status.read_status`` does.
    has_images
        Whether there is an OME-Zarr at a key.
    has_page
        Whether there is a page of an experiment at a key.
    """

    def __init__(
        self,
        read: Callable[[], Sequence[Row]],
        has_images: Callable[[str], bool],
        has_page: Callable[[str], bool] = lambda key: False,
    ) -> None:
        self._read, self._has_images, self._has_page = read, has_images, has_page
        self._with_page: set[str] = set()
        self._with_images: set[str] = set()
        self._look = Look()
        self._due = 0.0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="board")
        self._begun = False

    def look(self) -> Look:
        """The last look; begins the next one when it is time."""
        with self._lock:
            is_due = not self._begun and time.monotonic() >= self._due
            self._begun = self._begun or is_due
        if is_due:
            future = self._pool.submit(self._read_again)
            if not self._look.made_at:
                wait_for([future], FIRST_S)
        return self._look

    def close(self) -> None:
        """Begin no more looks."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _read_again(self) -> None:
        began = time.monotonic()
        try:
            rows = self._read()
            pages = self._find_pages({row["experiment"] for row in rows if row.get("experiment")})
            described = (self._describe(row) | pages.get(row["experiment"], {}) for row in rows)
            self._look = Look(tuple(described), time.time())
        except _FAULTS as error:
            log.warning("the plates could not be read: %s", error)
            self._look = Look(self._look.plates, self._look.made_at, f"The plates cannot be read now: {error}")
        finally:
            with self._lock:
                self._due = time.monotonic() + max(EVERY_S, RESTS * (time.monotonic() - began))
                self._begun = False

    def _find_pages(self, experiments: set[str]) -> dict[str, dict[str, str]]:
        """What is shown of the experiments that have a page."""
        keys = {name: f"{experiment_page_folder(name)}index.html" for name in experiments}
        self._with_page |= {key for key in keys.values() if key not in self._with_page and self._has_page(key)}
        return {name: {"experiment_page": key} for name, key in keys.items() if key in self._with_page}

    def _describe(self, row: Row) -> dict[str, Any]:
        """One plate for a person: what ``read_status`` says without costs, and where its images are."""
        shown = {name: row[name] for name in _SHOWN if row.get(name) is not None}
        if row.get("status") in ("complete", "with-missing"):
            images = plate_zarr(row["experiment"], row["plate"])
            if images in self._with_images or self._has_images(images):
                self._with_images.add(images)
                shown["images"] = images
        return shown
