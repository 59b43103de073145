"""Make store.tar.xz: what the oldest supported version leaves in a store. It is run once, with that version's checkout.

    git worktree add OLD c886815
    PYTHONPATH=OLD python tests/data/upgrade/make_store.py OUT

c886815 is the first state of the main line with numbers version 3, the version of stored values that is supported.
Three plates of one experiment: P1 is published twice, the second time with an edited plate map; of P2 two of four sites
are done, as when workers are upgraded in the middle of a plate; of P3 an image is unreadable and given up. Pages are
left out: they are written again at any time.
"""

from __future__ import annotations

import os
import sys
import tarfile
import time
from pathlib import Path

from imaging.job import open_job
from imaging.measure import measure_planes
from imaging.site import process_site
from imaging.steps import plan_work, site_task
from imaging.store import open_store
from tests.imaging.small_plate import EXPERIMENT, PLATE_MAP, draw_plate, follow

UPLOADED = 1_770_000_000
"""When all images were written, Unix seconds: with the size it is what versions of files are told by."""
PATIENCE_S = 3600.0
RECIPE = (
    "recipe: {name: v1, nuclei: {diameter_px: [6, 20]}, cells: {}, features: {families: Intensity, whole_images: no}}\n"
)


def main(out: Path) -> None:
    root = out / "store"
    before, _, rest = EXPERIMENT.partition("recipe:")
    text = f"{before}{RECIPE}analysis:{rest.partition('analysis:')[2]}"
    declared = root / "experiments" / "screen"
    declared.mkdir(parents=True)
    (declared / "experiment.yaml").write_text(text)
    (declared / "map.csv").write_text(PLATE_MAP)
    store = open_store(str(root))
    for plate in ("P1", "P2", "P3"):
        images = draw_plate()
        if plate == "P3":
            images["B01_w2.tif"] = images["B01_w2.tif"][:-2000]
        folder = root / "raw" / "screen" / plate
        folder.mkdir(parents=True)
        for name, data in images.items():
            (folder / name).write_bytes(data)
            os.utime(folder / name, (UPLOADED, UPLOADED))
        job = open_job(store, "screen", plate, settle_s=0.0)
        if plate == "P2":
            for site in plan_work(job).todo[:2]:
                process_site(site_task(job, site), measure_planes)
            continue
        assert follow(job, now=time.time() + PATIENCE_S) is not None
        if plate == "P1":
            (declared / "map.csv").write_text(PLATE_MAP.replace("x,2", "y,2"))
            assert follow(open_job(store, "screen", plate, settle_s=0.0)) is not None
    with tarfile.open(out / "store.tar.xz", "w:xz", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root)
            if path.is_file() and "page" not in name.parts and ".staging" not in name.parts:
                archive.add(path, str(name), filter=_without_owner)


def _without_owner(item: tarfile.TarInfo) -> tarfile.TarInfo:
    item.uid = item.gid = 0
    item.uname = item.gname = ""
    return item


if __name__ == "__main__":
    main(Path(sys.argv[1]))
