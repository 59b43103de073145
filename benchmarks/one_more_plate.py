"""One more plate of an experiment: what of its analysis is that plate's alone, and what is the whole experiment's.

A hundred published plates are analysed; one more is published, and they are analysed again. Beside it: the same
from nothing, and one plate alone. Plates have 96 wells and 100 features; the recipe is the default without rules of
failures, which compare plates with one another.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.results_file import write_result
from imaging.analyses.kept_plates import KeptPlates
from imaging.analyses.normalize import normalize
from imaging.analyses.publications import select_published
from imaging.analyses.published import read_published
from imaging.analyses.recipe import AnalysisRecipe
from imaging.analyses.reconcile import reconcile
from imaging.store import FolderStore
from tests.imaging import small_analyses

PLATES = 100
FEATURES = tuple(f"Cells_Intensity_f{number}" for number in range(100))
RECIPE = b"failures: {rules: none}\nhits: {criteria: [activity], permutations: 1000}\n"


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
    small_analyses.publish(store, f"P{number:03d}", features=FEATURES)


def main() -> None:
    """Measure and write the result."""
    with tempfile.TemporaryDirectory() as folder:
        store = CountedStore(Path(folder))
        store.write(f"experiments/{small_analyses.EXPERIMENT}/analysis.yaml", RECIPE)
        for number in range(PLATES):
            publish(store, number)
        publish(warm := CountedStore(Path(folder) / "warm"), 0)
        warm.write(f"experiments/{small_analyses.EXPERIMENT}/analysis.yaml", RECIPE)
        reconcile(warm, small_analyses.EXPERIMENT)  # compiled kernels
        figures = {
            "plates": PLATES,
            "wells_per_plate": 96,
            "features": len(FEATURES),
            "one_plate_alone": _analyse(alone := _alone(Path(folder) / "alone")),
            "all_from_nothing": _analyse(store),
        }
        publish(store, PLATES)
        figures["one_more"] = _analyse(store)
        figures["nothing_new"] = _analyse(store)
        figures["part_of_plates_alone"] = _parts(store)
        del alone
    more, fresh = figures["one_more"], figures["part_of_plates_alone"]
    figures["ratio_plates_made_one_more_to_one"] = more["plates_made"] / figures["one_plate_alone"]["plates_made"]
    figures["ratio_bytes_published_read_one_more_to_one"] = round(
        more["bytes_read"]["published"] / figures["one_plate_alone"]["bytes_read"]["published"], 2
    )
    figures["ratio_part_alone_one_more_to_all"] = round(fresh["one_more_s"] / fresh["all_from_nothing_s"], 3)
    figures["remark"] = (
        "selection, correction, consensus, hits and scores look at all plates: that part of one_more is the whole "
        "experiment's, as in all_from_nothing"
    )
    print(write_result("one_more_plate", figures).read_text())


def _alone(folder: Path) -> CountedStore:
    store = CountedStore(folder)
    store.write(f"experiments/{small_analyses.EXPERIMENT}/analysis.yaml", RECIPE)
    publish(store, 0)
    return store


def _analyse(store: CountedStore) -> dict[str, Any]:
    store.bytes_read.clear()
    began = time.perf_counter()
    (outcome,) = reconcile(store, small_analyses.EXPERIMENT)
    assert outcome.record.status == "analysed", outcome.record.reason
    return {
        "wall_s": round(time.perf_counter() - began, 2),
        "is_new": outcome.is_new,
        "plates_made": outcome.made,
        "plates_kept": outcome.kept,
        "bytes_read": {kind: store.bytes_read[kind] for kind in ("published", "kept", "records")},
    }


def _parts(store: CountedStore) -> dict[str, float]:
    """Seconds for what needs each plate alone: reading its wells and normalising it."""
    recipe = AnalysisRecipe.model_validate({})
    publications = select_published(store, small_analyses.EXPERIMENT).plates

    def read_all(kept: KeptPlates | None) -> float:
        began = time.perf_counter()
        for published in publications:
            if kept is not None:
                kept.normalize(kept.read_wells(published, recipe.annotate).profiles, recipe.normalize)
            else:
                normalize(read_published(published, recipe.annotate).profiles, recipe.normalize)
        return round(time.perf_counter() - began, 2)

    from_nothing = read_all(None)
    kept = KeptPlates(store, small_analyses.EXPERIMENT)
    read_all(kept)
    newest = f"results/{small_analyses.EXPERIMENT}/_analyses/_plates/"
    for item in store.list(newest).objects:
        if "/data/" not in item.key and item.modified > 0:
            last = item.key  # one plate's record is forgotten: it is the one more
    store.delete(last)
    return {"all_from_nothing_s": from_nothing, "one_more_s": read_all(KeptPlates(store, small_analyses.EXPERIMENT))}


if __name__ == "__main__":
    main()
