"""A delivery as labs get them, and what its reconciliation says: `python -m tests.dirty_delivery` prints it.

It is built from a plate that ImageXpress exported (two wells, two sites, two channels, two time points, in shared/data;
drawn cells where that is not there) for which experiment.yaml expects a third well. Of its images 1 is missing, 1
truncated, 1 zero-filled, 2 come again under another name, 1 is superseded by a newer file; 1 name is unknown; and the
instrument's manifest, which knows of two wells only, comes last.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flows.cli_reconcile import print_plates, print_sites
from imaging.job import PlateJob, open_job
from imaging.planning import Plan
from imaging.query import run_query
from imaging.reconciliation import PlateReconciliation, reconcile
from imaging.store import FolderStore
from tests.following import follow
from tests.imaging.small_plate import draw_cells
from tests.parts import find_part

EXPERIMENT = """
name: dirty
channels:
  - {name: DAPI, code: "1", role: nucleus, full_scale: 65535}
  - {name: FITC, code: "2", full_scale: 65535}
layout: {wells: 96, imaged: [B02-B04], sites: 2, time_points: 2}
files: {format: metaxpress}
recipe: {name: v1, nuclei: {diameter_px: [6, 40]}, features: {families: [AreaShape], whole_images: no}}
patience: 10 min
"""
RAW = "raw/dirty/9987"
MANIFEST = "9987.HTD"
_PLACES = [(t, well, site, w) for t in (1, 2) for well in ("B02", "B03") for site in (1, 2) for w in (1, 2)]


@dataclass(frozen=True)
class Stage:
    """What a look at the delivery says once something more has come."""

    title: str
    plan: Plan
    reconciled: PlateReconciliation


def name_of(t: int, well: str, site: int, w: int, *, beginning: str = "9987") -> str:
    """A file's path as MetaXpress exports it."""
    return f"TimePoint_{t}/{beginning}_{well}_s{site}_w{w}.TIF"


def clean_delivery() -> tuple[dict[str, bytes], bytes]:
    """Images by path, and the manifest: real ones where they are, else drawn."""
    shared = find_part("shared")
    folder = Path(shared or "") / "data/imagexpress_metaxpress/ImageXpress_exported/9987_Plate_3435"
    if shared and folder.is_dir():
        return {name_of(*place): (folder / name_of(*place)).read_bytes() for place in _PLACES}, (
            folder / MANIFEST
        ).read_bytes()
    return {name_of(*place): draw_cells(number) for number, place in enumerate(_PLACES)}, _drawn_manifest()


def _drawn_manifest() -> bytes:
    row = ", ".join(["FALSE", "TRUE", "TRUE", *["FALSE"] * 9])
    empty = ", ".join(["FALSE"] * 12)
    wells = "".join(f'"WellsSelection{n}", {row if n == 2 else empty}\r\n' for n in range(1, 9))
    text = (
        '"HTSInfoFile", Version 1.0\r\n"Description", "6 time points \xb5"\r\n"PlateType", 2\r\n"TimePoints", 2\r\n'
        '"ZSeries", FALSE\r\n"ZSteps", 0\r\n"ZProjection", FALSE\r\n"XWells", 12\r\n"YWells", 8\r\n'
        f'{wells}"Sites", TRUE\r\n"XSites", 2\r\n"YSites", 1\r\n"SiteSelection1", TRUE, TRUE\r\n"Waves", TRUE\r\n'
        '"NWavelengths", 2\r\n"WaveName1", "DAPI"\r\n"WaveName2", "FITC"\r\n"WaveCollect1", 1\r\n"WaveCollect2", 1\r\n'
        '"UniquePlateIdentifier", "fe477428"\r\n"EndFile"\r\n'
    )
    return text.encode("latin-1")


def dirty_delivery() -> dict[str, bytes]:
    """The images as they come, in this order."""
    images, _ = clean_delivery()
    del images[name_of(1, "B02", 1, 1)]
    truncated, zeros = name_of(1, "B02", 2, 1), name_of(2, "B02", 1, 2)
    images[truncated] = images[truncated][: len(images[truncated]) // 2]
    images[zeros] = bytes(len(images[zeros]))
    for w in (1, 2):
        images[name_of(2, "B03", 1, w, beginning="copy")] = images[name_of(2, "B03", 1, w)]
    images[name_of(1, "B03", 2, 1, beginning="again")] = images[name_of(1, "B03", 1, 1)]
    images["TimePoint_1/B03 snapshot.tif"] = images[name_of(1, "B03", 1, 1)]
    return images


def deliver(root: Path, on_stage: Callable[[Stage], None] = lambda stage: None) -> PlateJob:
    """Upload the delivery into a store and follow it to its publication.

    Parameters
    ----------
    root
        An empty folder.
    on_stage
        Called when the images are there, when the manifest has come, and when the plate is published.
    """
    store = FolderStore(root)
    store.write("experiments/dirty/experiment.yaml", EXPERIMENT.encode())
    for name, data in dirty_delivery().items():
        store.write(f"{RAW}/{name}", data)
    job = open_job(store, "dirty", "9987", settle_s=0.0)
    follow(job, later_s=0.0)
    on_stage(_look(job, "all images are there; the manifest is not"))
    store.write(f"{RAW}/{MANIFEST}", clean_delivery()[1])
    follow(job, later_s=0.0)
    on_stage(_look(job, "the manifest has come"))
    follow(job, later_s=3600.0)
    on_stage(_look(job, "patience has run out, the plate is published"))
    return job


def _look(job: PlateJob, title: str) -> Stage:
    return Stage(title, job.survey(), reconcile(job))


def main() -> None:
    """Print the reconciliation at each stage, and the view in SQL."""
    with tempfile.TemporaryDirectory() as folder:

        def show(stage: Stage) -> None:
            print(f"\n--- {stage.title}")
            print_plates([stage.reconciled])
            print_sites(stage.reconciled)

        job = deliver(Path(folder), show)
        print("\n--- SELECT * FROM reconciliation")
        columns = "level, well, site, time_point, expected, arrived, processed, loaded, reasons"
        rows = run_query(job.store, f"SELECT {columns} FROM reconciliation ORDER BY level, well, time_point, site")
        for row in rows.to_pylist():
            print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    sys.exit(main())
