"""`platestream measure`: numbers of any images, without an experiment, a store or a service."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from flows.cli_results import counted
from flows.cli_run import DEVICE

if TYPE_CHECKING:
    from collections.abc import Callable

    from imaging.image_sets import ImageSets
    from imaging.measure_images import WrittenMetrics


def measure(
    images: str = typer.Argument(
        metavar="IMAGES", help="An .npz file, an OME-Zarr image, or a folder of TIFF or PNG files."
    ),
    out: Path = typer.Option(Path("metrics.parquet"), "--out", "-o", help="File to write: .parquet or .csv; replaced."),
    channel: list[str] = typer.Option(
        [], metavar="NAME=GLOB", help="A channel of a folder and its files, in quotes; once for each channel."
    ),
    full_scale: int | None = typer.Option(
        None,
        min=1,
        max=65535,
        help="Count that pixels are divided by, and at which they are saturated.",
        show_default="255 of 8-bit images, 65535 of others",
    ),
    device: str = DEVICE,
) -> None:
    """Measure the quality of any images: one row per image set, with CellProfiler's column names.

    `platestream measure site.npz` takes one 2-D array per channel, uint8 or uint16.

    `platestream measure site.ome.zarr` takes an OME-Zarr image, 0.4 or 0.5, also one site of a plate of ours.

    `platestream measure FOLDER --channel 'DNA=*_w1.tif' --channel 'RNA=*_w2.tif'` takes files. What `*` and `?` match
    names the image set: files of one set agree in it. `**/` stands for folders, `[..]` for one character that names
    nothing.

    An image that is missing or cannot be read leaves its columns NULL and its reason in `not_measured`; the others are
    measured. The file appears when it is whole. Exit status 1 if an image could not be read, 2 if IMAGES or an option
    is wrong.
    """
    from imaging.image_sets import open_image_sets
    from imaging.measure_images import check_out, write_image_metrics

    check_out(out)
    _choose_device(device)
    found = open_image_sets(images, _globs(channel))
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
    _print_lacking(found)
    written = write_image_metrics(found, out, full_scale=full_scale, on_set=_progress(len(found.sets)))
    channels = f"{counted(len(found.channels), 'channel')} ({', '.join(found.channels)})"
    typer.echo(f"wrote {out}: {counted(written.sets, 'image set')}, {channels}")
    _raise_unmeasured(written, out)


COMMANDS = (measure,)


def _choose_device(said: str) -> None:
    """Compute where the command line or the environment says."""
    from flows.settings import Settings

    device = Settings(**({"device": said} if said else {})).device
    if device != "cpu":
        from flows.worker import choose_device

        choose_device(device)


def _globs(texts: list[str]) -> dict[str, str]:
    """Globs by channel of ``NAME=GLOB`` texts: all faults at once."""
    from imaging.errors import ConfigurationError

    pairs = [(name.strip(), glob.strip()) for name, _, glob in (text.partition("=") for text in texts)]
    names = [name for name, _ in pairs]
    problems = [
        f"--channel {text!r} must be NAME=GLOB, such as 'DNA=*_w1.tif'"
        for text, pair in zip(texts, pairs, strict=True)
        if not all(pair)
    ]
    problems += [f"{name} is given {names.count(name)} times" for name in dict.fromkeys(names) if names.count(name) > 1]
    if problems:
        raise ConfigurationError("the channels cannot be understood", tuple(problems))
    return dict(pairs)


def _print_lacking(found: ImageSets) -> None:
    """One line about image sets that are not whole."""
    lacking = found.lacking()
    if lacking:
        first, channels = lacking[0]
        have = "lacks a channel" if len(lacking) == 1 else "lack a channel"
        typer.echo(
            f"note: {len(lacking):,} of {counted(len(found.sets), 'image set')} {have}, first {first.name}: no "
            f"{', no '.join(channels)}",
            err=True,
        )


def _progress(total: int) -> Callable[[int], None]:
    """Rewrite one line of a terminal with the number of sets that are measured."""
    is_shown = total > 1 and sys.stderr.isatty()

    def show(done: int) -> None:
        if is_shown:
            typer.echo(f"\r{done:,} of {total:,} image sets", nl=done == total, err=True)

    return show


def _raise_unmeasured(written: WrittenMetrics, out: Path) -> None:
    from imaging.errors import UnreadableImageError

    if written.unmeasured:
        first = written.unmeasured[0]
        raise UnreadableImageError(
            f"{len(written.unmeasured):,} of {counted(written.images, 'image')} could not be measured and "
            f"{'is' if len(written.unmeasured) == 1 else 'are'} NULL in {out}, first {first.channel} of "
            f"{first.image_set}: {first.reason}",
            key=first.file,
        )
