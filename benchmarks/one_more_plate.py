"""One more plate of an experiment: what its analysis costs beside that of the plate alone, and of all from nothing.

A hundred published plates are analysed; one more is published, and they are analysed again. Plates have 96 wells and
100 features. Four plates have the same map of 20 treatments, as replicates of a screen have. The recipe is the default
one without rules of failures, with activity, replication and distance as criteria.

What is kept from one analysis to the next: each plate's wells, and the plate normalised to itself; p-values of
treatments whose wells and controls are what they were. What is the whole experiment's each time: features that stay,
consensus, variance, mixing, rates over treatments, and the tables that are written.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.results_file import write_result
from imaging.analyses import exchange
from imaging.analyses.reconcile import reconcile
from imaging.store import FolderStore
from tests.imaging import small_analyses

PLATES, PLATES_OF_MAP = 100, 4
FEATURES = tuple(f"Cells_Intensity_f{number}" for number in range(100))
RECIPE = b"failures: {rules: none}\nhits: {criteria: [activity, replication, distance], permutations: 1000}\n"


class CountedStore(FolderStore):
    """A folder that counts what is read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.bytes_read: Counter[str] = Counter()

    def read(self, key: str, *, token: str | None = None, start: int = 0, size: int | None = None) -> bytes:
        """Read an object, and count its bytes by what it is."""
        data = super().read(key, token=token, start=start, size=size)
        kind = "kept" if "/_plates/data/" in key else "published" if "/published/" in key else "records"
        self.bytes_read[kind] += len(data)
        return data


def publish(store: FolderStore, number: int) -> None:
    """Publish a plate."""
    plate = f"P{number:03d}"
    rows = small_analyses.rows_of(plate, features=FEATURES)
    for row in (*rows["wells"], *rows["well_annotations"]):
        if row.get("control") == "trt":
            row["treatment"] = f"map {number // PLATES_OF_MAP}, {row['treatment']}"
    small_analyses.publish_rows(store, plate, 1, f"run of {plate}", rows, FEATURES)


def main() -> None:
    """Measure and write the result."""
    with tempfile.TemporaryDirectory() as folder:
        reconcile(_store_of(Path(folder) / "warm"), small_analyses.EXPERIMENT)  # compiled kernels
        alone = _store_of(Path(folder) / "alone")
        store = _store_of(Path(folder) / "all", PLATES)
        figures = {
            "plates": PLATES,
            "wells_per_plate": 96,
            "features": len(FEATURES),
            "one_plate_alone": _analyse(alone),
            "all_from_nothing": _analyse(store),
        }
        publish(store, PLATES)
        figures["one_more"] = _analyse(store)
        figures["nothing_new"] = _analyse(store)
    more, alone_figures, every = figures["one_more"], figures["one_plate_alone"], figures["all_from_nothing"]
    figures["one_more_over_one_alone"] = {
        name: round(more[name] / max(alone_figures[name], 1), 2) for name in ("plates_made", "tests_drawn")
    } | {"wall": round(more["wall_s"] / alone_figures["wall_s"], 2)}
    figures["all_from_nothing_over_one_more"] = {"wall": round(every["wall_s"] / more["wall_s"], 2)}
    print(write_result("one_more_plate", figures).read_text())


def _store_of(folder: Path, plates: int = 1) -> CountedStore:
    store = CountedStore(folder)
    store.write(f"experiments/{small_analyses.EXPERIMENT}/analysis.yaml", RECIPE)
    for number in range(plates):
        publish(store, number)
    return store


def _analyse(store: CountedStore) -> dict[str, Any]:
    store.bytes_read.clear()
    drawn: list[object] = []
    draw = exchange.exchange

    def counted(*values: Any, **how: Any) -> float:
        drawn.append(values)
        return draw(*values, **how)

    exchange.exchange = counted
    began = time.perf_counter()
    try:
        (outcome,) = reconcile(store, small_analyses.EXPERIMENT)
    finally:
        exchange.exchange = draw
    assert outcome.record.status == "analysed", outcome.record.reason
    return {
        "wall_s": round(time.perf_counter() - began, 2),
        "is_new": outcome.is_new,
        "plates_made": outcome.made,
        "plates_kept": outcome.kept,
        "tests_drawn": len(drawn),
        "bytes_read": {kind: store.bytes_read[kind] for kind in ("published", "kept", "records")},
    }


if __name__ == "__main__":
    main()
