"""Each instrument's real folder, from its names to its publication: ``python -m tests.real_folders`` prints the table.

What is declared is what ``platestream init`` writes for the folder, unchanged; nothing is drawn or filled in. Folders
whose images are held back by their authors (all zeros, or metadata without pixels) say so by what becomes of them.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imaging.errors import ConfigurationError
from imaging.experiment_text import write_experiment_yaml
from imaging.folders import StoredFolder
from imaging.initialize import FolderLook, look_at
from imaging.job import open_job
from imaging.planning import Plan
from imaging.store import FolderStore
from tests.following import follow
from tests.parts import require

FOLDERS = {
    "MetaXpress, exported": "imagexpress_metaxpress/ImageXpress_exported/9987_Plate_3435",
    "MetaXpress, projections": "imagexpress_metaxpress/ImageXpress/Projection-Mix",
    "MetaXpress, stacks": "imagexpress_metaxpress/ImageXpress/SingleChannel",
    "Harmony, with index": "harmony_operetta/operetta_plate",
    "Harmony, six channels": "harmony_cellpainting_6ch_BR00143976/images/orig",
    "Harmony, JUMP": "harmony_cellpainting_BR00117006",
    "CellVoyager": "yokogawa_cv8000/CV8000",
    "Cellomics": "cellomics_arrayscan/ExampleHuman/images",
    "OME-TIFF, companion": "ometiff_variants/ometiff_testdata/multiples/companion",
    "OME-TIFF, master": "ometiff_variants/ometiff_testdata/multiples/master",
    "OME-Zarr 0.4, metadata": "omezarr_hcs_metadata/v04/hcs_example.ome.zarr",
    "well, site, stain": "nf1_cellpainting_3ch/Plate_2_images",
    "BBBC013": "bbbc013_translocation_plate",
}
"""Folders of ``shared/data``, by what they are."""


@dataclass(frozen=True)
class Outcome:
    """What became of one folder."""

    title: str
    look: FolderLook
    plan: Plan
    status: str

    def cells(self) -> tuple[str, ...]:
        """Cells of the table."""
        states = Counter(site.state for site in self.plan.sites)
        look = self.look
        return (
            self.title,
            look.format,
            str(look.image_count),
            "-" if look.expected is None else str(look.expected),
            str(len(look.wells)),
            ", ".join(f"{number} {state}" for state, number in sorted(states.items())),
            "-" if look.pixel_size_um is None else f"{look.pixel_size_um:g}",
            f"{len(look.planes)}; {len(look.time_points)}",
            ", ".join(channel.name for channel in look.channels),
            f"{len(look.ignored)}; {len(look.unknown)}",
            self.status,
        )


HEADER = (
    "folder",
    "format",
    "images",
    "expected",
    "wells",
    "sites",
    "um/px",
    "z; t",
    "channels",
    "ignored; unknown",
    "",
)


def process(title: str, images: Path, root: Path, *, as_archive: bool = False) -> Outcome:
    """Declare a folder by what it seems to hold, and process it until nothing is left to do.

    Parameters
    ----------
    title
        What it is.
    images
        The folder.
    root
        An empty folder, for the store.
    as_archive
        Whether the folder comes as one .zip file.
    """
    store = FolderStore(root)
    _upload(images, store, as_archive=as_archive)
    raw = FolderStore(root / "raw" / "real" / "P1")
    look = look_at(raw.list("").objects, StoredFolder(raw, ""), name="P1")
    store.write("experiments/real/experiment.yaml", write_experiment_yaml(look, name="real").encode())
    job = open_job(store, "real", "P1", settle_s=0.0)
    follow(job, later_s=0.0)
    publication = follow(job, later_s=7200.0)
    return Outcome(title, look, job.survey(), publication.status if publication else "not published")


def _upload(images: Path, store: FolderStore, *, as_archive: bool) -> None:
    files = [path for path in sorted(images.rglob("*")) if path.is_file() and path.name != "README.md"]
    if as_archive:
        packed = store.local_path("raw/real/P1/acquisition.zip")
        packed.parent.mkdir(parents=True)
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path, path.relative_to(images))
        return
    for path in files:
        store.write(f"raw/real/P1/{path.relative_to(images).as_posix()}", path.read_bytes())


def main() -> None:
    """Print the table; a folder is processed in a store of its own."""
    shared = Path(require("shared")) / "data"
    _print(HEADER)
    for title, place in FOLDERS.items():
        _process_apart(title, shared / place)
    _process_apart("MetaXpress, in a .zip", shared / FOLDERS["MetaXpress, exported"], as_archive=True)


def _process_apart(title: str, images: Path, *, as_archive: bool = False) -> None:
    with tempfile.TemporaryDirectory() as root:
        try:
            _print(process(title, images, Path(root), as_archive=as_archive).cells())
        except ConfigurationError as refusal:
            _print([title, f"refused: {refusal}"])


def _print(row: Sequence[str]) -> None:
    print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
