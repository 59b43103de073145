"""Planning a plate of 7,392 images, and one round of `watch` over 25 plates being imaged and 4,000 closed ones."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import obstore
from obstore.store import LocalStore

from benchmarks.results_file import measure, write_result
from flows.needs import Need
from flows.watch import Watch
from imaging.arrivals import sort_arrivals
from imaging.experiment import read_experiment
from imaging.job import open_job
from imaging.names import hash_of
from imaging.planning import plan_plate
from imaging.records import Records
from imaging.store import FolderStore

CHANNELS = ("DNA", "ER", "RNA", "AGP", "Mito", "Brightfield")
SITES = 4
EXPERIMENT = (
    "name: big\nchannels:\n"
    + "".join(
        f"  - {{name: {name}, role: {'nucleus' if name == 'DNA' else 'other'}, full_scale: 65535}}\n"
        for name in CHANNELS
    )
    + f"layout: {{wells: 384, imaged: [B02-O23], sites: {SITES}}}\n"
    + "files: {pattern: '(?P<well>[A-P][0-9]{2})_s(?P<site>[0-9])_(?P<channel>[A-Za-z]+)[.]tif'}\n"
    + "recipe: {name: v1, nuclei: {diameter_px: [15, 90]}, cells: {channel: RNA}}\n"
)
ACTIVE, CLOSED = 25, 4000


def image_names() -> list[str]:
    """Names of the 7,392 images of one plate: 308 wells x 4 sites x 6 channels."""
    experiment = read_experiment(EXPERIMENT.encode())
    return [f"{well}_s{site}_{channel}.tif" for well, site in experiment.expected_sites() for channel in CHANNELS]


def upload(folder: Path, names: list[str]) -> None:
    """Make empty images; planning never reads one."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()


def bench_planning() -> dict[str, Any]:
    """Plan from a listing at hand, and from the folder; the reference is obstore's listing of the same folder."""
    with tempfile.TemporaryDirectory() as folder:
        store = FolderStore(Path(folder))
        store.write("experiments/big/experiment.yaml", EXPERIMENT.encode())
        names = image_names()
        upload(Path(folder) / "raw" / "big" / "P1", names)
        job = open_job(store, "big", "P1", settle_s=0.0)
        listing = store.list(job.raw_folder)
        pins = hash_of("pins")

        def plan() -> None:
            arrivals = sort_arrivals(job.experiment, job.raw_folder, listing.objects)
            plan_plate(job.experiment, arrivals, Records(), pins=pins, now=time.time())

        reference = LocalStore(folder)
        figures = {
            "images": len(names),
            "plan_from_listing": measure(plan),
            "look_at_folder_and_plan": measure(lambda: job.survey()),
            "reference_obstore_listing": measure(lambda: list(obstore.list(reference, prefix="raw"))),
        }
    listing_s = figures["reference_obstore_listing"]["wall_median_s"]
    return figures | {
        "ratio_plan_to_reference": round(figures["plan_from_listing"]["wall_median_s"] / listing_s, 2),
        "ratio_look_to_reference": round(figures["look_at_folder_and_plan"]["wall_median_s"] / listing_s, 2),
        "target": "plan_from_listing under 0.5 s",
    }


def bench_watch() -> dict[str, Any]:
    """Rounds of a watcher: the first knows nothing, later ones find 25 plates unfollowed with all work to do."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        store = FolderStore(root)
        store.write("experiments/big/experiment.yaml", EXPERIMENT.encode())
        names = image_names()
        for number in range(ACTIVE):
            upload(root / "raw" / "big" / f"active{number:02d}", names)
        recipe = open_job(store, "big", "active00").recipe
        for number in range(CLOSED):
            (root / "raw" / "big" / f"closed{number:04d}").mkdir()
            record = root / "results" / "big" / f"closed{number:04d}" / recipe / "publications" / "000001.json"
            record.parent.mkdir(parents=True)
            record.touch()
        woken: list[Need] = []
        watch = Watch(store, woken.append, rescan_s=0.0, settle_s=0.0)
        later_on = time.time() + 10 * 86400  # by then the closed plates were published long ago
        first = measure(lambda: watch.round(later_on), runs=1)
        later = measure(lambda: watch.round(later_on), runs=5)
        assert {need.plate for need in woken} == {f"active{number:02d}" for number in range(ACTIVE)}
        reference = measure(lambda: list(obstore.list(LocalStore(folder), prefix="raw")), runs=3)
    return {
        "active_plates": ACTIVE,
        "closed_plates": CLOSED,
        "images": ACTIVE * len(names),
        "first_round": first,
        "later_round": later,
        "reference_obstore_listing_of_raw": reference,
        "ratio_round_to_reference": round(later["wall_median_s"] / reference["wall_median_s"], 2),
        "target": "a round under 5 s",
    }


def main() -> None:
    """Measure both and write the results."""
    print(write_result("planning", bench_planning()).read_text())
    print(write_result("watch", bench_watch()).read_text())


if __name__ == "__main__":
    main()
