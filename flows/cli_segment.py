"""`platestream segment`: label images of any images, without an experiment, a store or a service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from flows.cli_measure import CHANNEL, IMAGES, globs_of, print_notes
from flows.cli_results import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imaging.image_sets import ImageSets
    from imaging.segment_images import Flood, Segmentation, WrittenLabels


def segment(
    images: str = IMAGES,
    out: Path = typer.Option(
        Path("labels.npz"),
        "--out",
        "-o",
        help="Labels to write: an .npz file, a .tif (labels.Nuclei.tif ...), or a folder (no ending) of TIFF files.",
    ),
    nucleus: str = typer.Option("", help="Channel of the nuclei.", show_default="the only channel"),
    cell: str = typer.Option(
        "", help="Channel that shows whole cells.", show_default="cells reach 10 pixels beyond their nucleus"
    ),
    channel: list[str] = CHANNEL,
    diameter: str = typer.Option(
        "", metavar="MIN,MAX", help="Expected diameters of nuclei, in pixels.", show_default="8,100"
    ),
    pixel_size: float | None = typer.Option(
        None, min=0.001, max=1000, metavar="UM", help="Side of a pixel; diameters are then in micrometres."
    ),
    border: str = typer.Option(
        "keep", metavar="keep|drop", help="What becomes of nuclei that touch the border of the image."
    ),
    flood: str = typer.Option(
        "cellprofiler",
        metavar="cellprofiler|fixpoint",
        help="How pixels are divided between objects that touch: in CellProfiler's order, or so that none matters.",
    ),
) -> None:
    """Find nuclei, cells and cytoplasm in any images, and write them as label images.

    `platestream segment site.npz --nucleus DNA --cell RNA` writes `labels.npz` with the arrays `Nuclei`, `Cells` and
    `Cytoplasm`: 0 outside, and one number per cell. Of several image sets the arrays are called `B03_s1/Nuclei` and so
    on. `platestream measure site.npz --labels labels.npz` measures them.

    `platestream segment picture.tif` takes a picture of nuclei; `platestream segment FOLDER` each picture of a folder,
    called like the file without its ending. Folders with several channels are taken as by `platestream measure`.

    An image set whose images are missing or cannot be read has no labels; the others are segmented. Exit status 1 if
    there was one, 2 if IMAGES or an option is wrong.
    """
    from imaging.image_sets import open_image_sets
    from imaging.segment_images import write_labels

    diameters = _diameters(diameter, pixel_size)
    globs = globs_of("--channel", channel)
    found = open_image_sets(images, globs, one_channel=nucleus or "DNA")
    how = _how(found, nucleus, cell, diameters, border, flood)
    print_notes(found)
    written = write_labels(found, how, out, on_set=_print_counts)
    totals = ", ".join(
        f"{sum(counts[name] for counts in written.counts.values()):,} {name}" for name in _names(written)
    )
    typer.echo(
        f"wrote {_files(out, _names(written))}: {counted(len(written.counts), 'image set')}; {totals or 'no objects'}"
    )
    _raise_failed(written, len(found.sets), out)


COMMANDS = (segment,)


def _diameters(text: str, pixel_size_um: float | None) -> tuple[float, float]:
    """Least and greatest diameter in pixels."""
    from imaging.errors import ConfigurationError
    from imaging.segment_images import DIAMETER_PX

    if not text:
        if pixel_size_um is not None:
            raise ConfigurationError("--pixel-size needs --diameter MIN,MAX in micrometres, such as 5,30")
        return DIAMETER_PX
    try:
        least, greatest = (float(part) / (pixel_size_um or 1.0) for part in text.split(","))
    except ValueError:
        raise ConfigurationError(f"--diameter must be two numbers MIN,MAX such as 15,90, got {text!r}") from None
    if not 0 < least < greatest < float("inf"):
        raise ConfigurationError(f"--diameter must be MIN,MAX with 0 < MIN < MAX, got {text!r}")
    return least, greatest


def _how(
    images: ImageSets, nucleus: str, cell: str, diameters: tuple[float, float], border: str, flood: str
) -> Segmentation:
    from imaging.errors import ConfigurationError
    from imaging.segment_images import FLOODS, Segmentation

    problems: list[str] = []
    if border not in ("keep", "drop"):
        problems.append(f"--border knows keep and drop, got {border!r}")
    if flood not in FLOODS:
        problems.append(f"--flood knows {' and '.join(FLOODS)}, got {flood!r}")
    if not nucleus and len(images.channels) > 1:
        problems.append(f"which channel shows nuclei? give --nucleus with one of {', '.join(images.channels)}")
    if cell and cell == (nucleus or next(iter(images.channels))):
        problems.append(
            f"--cell must be another channel than that of the nuclei, got {cell}; without it cells are grown"
        )
    if problems:
        raise ConfigurationError("how to segment cannot be understood", tuple(problems))
    return Segmentation(
        nucleus or next(iter(images.channels)), cell or None, diameters, border == "drop", cast("Flood", flood)
    )


def _files(out: Path, names: list[str]) -> str:
    """What was written, by its names on disk."""
    from imaging.label_files import tiff_path

    if out.suffix in ("", ".npz"):
        return str(out)
    return ", ".join(str(tiff_path(out, name)) for name in names)


def _names(written: WrittenLabels) -> list[str]:
    return list(next(iter(written.counts.values()), {}))


def _print_counts(name: str, counts: Mapping[str, int]) -> None:
    typer.echo(f"{name}: {counted(counts['Cells'], 'cell')}")


def _raise_failed(written: WrittenLabels, total: int, out: Path) -> None:
    from imaging.errors import UnreadableImageError

    if written.unmeasured:
        first = written.unmeasured[0]
        have = "has" if len(written.unmeasured) == 1 else "have"
        raise UnreadableImageError(
            f"{len(written.unmeasured):,} of {counted(total, 'image set')} could not be segmented and {have} no labels "
            f"in {out}, first {first.image_set}: {first.reason}",
            key=first.file,
        )
