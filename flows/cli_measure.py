"""`platestream measure`: numbers of any images, without an experiment, a store or a service."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from flows.cli_results import counted
from flows.cli_run import DEVICE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imaging.image_sets import ImageSets
    from imaging.label_sets import LabelSets
    from imaging.measure_images import Unmeasured
    from kernels.feature_options import FeatureOptions

IMAGES = typer.Argument(
    metavar="IMAGES", help="An .npz file, an OME-Zarr image, a TIFF or PNG file, or a folder of such files."
)
CHANNEL = typer.Option(
    [], metavar="NAME=GLOB", help="A channel of a folder and its files, in quotes; once for each channel."
)
_OBJECTS = "Features of objects"
_MORE = {"costes": "costes", "slope": "slope", "moments": "moments", "zernikes": "intensity_zernikes"}


def measure(
    images: str = IMAGES,
    out: Path | None = typer.Option(
        None,
        "--out",
        "-o",
        help="File to write: .parquet or .csv; replaced. With --labels one per object set, features.Nuclei.parquet ...",
        show_default="metrics.parquet; with --labels features.parquet",
    ),
    channel: list[str] = CHANNEL,
    full_scale: int | None = typer.Option(
        None,
        min=1,
        max=65535,
        help="Count that pixels are divided by, and at which they are saturated. Objects are measured on pixels scaled "
        "to 65535 and rounded.",
        show_default="255 of 8-bit images, 65535 of others",
    ),
    device: str = DEVICE,
    labels: str = typer.Option(
        "",
        help="Label images: an .npz file, a TIFF or PNG file, a folder of them, or a Zarr, also IMAGES itself.",
        show_default="objects are not measured",
        rich_help_panel=_OBJECTS,
    ),
    objects: list[str] = typer.Option(
        [],
        metavar="NAME[=GLOB]",
        help="An object set to measure, and its files in a folder of labels; once for each set.",
        show_default="all that LABELS holds",
        rich_help_panel=_OBJECTS,
    ),
    families: str = typer.Option(
        "",
        metavar="NAMES",
        help="Families of features, with commas: AreaShape, Intensity, Texture, Granularity, RadialDistribution, "
        "Correlation, Neighbors.",
        show_default="all",
        rich_help_panel=_OBJECTS,
    ),
    more: str = typer.Option(
        "",
        "--with",
        metavar="NAMES",
        help="What is left out by default, with commas: costes, slope, moments, zernikes (of intensities).",
        rich_help_panel=_OBJECTS,
    ),
    texture_scales: str = typer.Option(
        "3,5,10", metavar="PX,...", help="Distances of the pairs of pixels in texture.", rich_help_panel=_OBJECTS
    ),
    texture_scaling: str = typer.Option(
        "full",
        metavar="full|percentile",
        help="Grey levels of texture over the whole scale, as CellProfiler, or over the range that a plane uses.",
        rich_help_panel=_OBJECTS,
    ),
    ties: str = typer.Option(
        "cellprofiler",
        metavar="cellprofiler|first",
        help="Which of several equally deep pixels is an object's centre: CellProfiler's choice, or the first.",
        rich_help_panel=_OBJECTS,
    ),
) -> None:
    """Measure the quality of any images, and with --labels their objects, under CellProfiler's column names.

    `platestream measure site.npz` takes one 2-D array per channel: uint8 or uint16, or floating-point numbers from 0 to
    1, which are rounded to 1/65535.

    `platestream measure site.ome.zarr` takes an OME-Zarr image, 0.4 or 0.5, also one site of a plate of ours.

    `platestream measure FOLDER --channel 'DNA=*_w1.tif' --channel 'RNA=*_w2.tif'` takes files. What `*` and `?` match
    names the image set: files of one set agree in it. `**/` stands for folders, `[..]` for one character that names
    nothing.

    `platestream measure site.npz --labels labels.npz --out features.parquet` writes one row per object into
    `features.Nuclei.parquet` and so on, and one row per image set into `features.Image.parquet`. Label images hold 0
    outside objects and the objects' numbers, gaps allowed; in an .npz they are called `Nuclei`, `Cells`, `Cytoplasm` or
    otherwise, with several image sets `B03_s1/Nuclei`. Files are paired with the images by what their wildcards match:
    `--labels FOLDER --objects 'Nuclei=*_nuclei.tif'`. Object sets that are not given are not made up.

    An image that is missing or cannot be read leaves its columns NULL and its reason in `not_measured`; the others are
    measured. Where a label image cannot be measured, its image set has no objects. Files appear when they are whole.
    Exit status 1 if an image or a label image could not be measured, 2 if IMAGES, LABELS or an option is wrong.
    """
    from imaging.image_sets import open_image_sets
    from imaging.table_files import check_out

    out = out or Path("features.parquet" if labels else "metrics.parquet")
    check_out(out)
    options = _feature_options(families, more, texture_scales, texture_scaling, ties)
    chosen = {} if not objects else globs_of("--objects", objects, are_optional=True)
    _refuse_unused(labels, objects, options)
    choose_device(device)
    found = open_image_sets(images, globs_of("--channel", channel))
    print_notes(found)
    if full_scale is not None and found.rounded:
        typer.echo(
            f"note: --full-scale {full_scale} is not applied to {', '.join(sorted(found.rounded))}: floating-point "
            "intensities go from 0 to 1",
            err=True,
        )
    if labels:
        _measure_objects(found, labels, chosen, options, out, full_scale)
    else:
        _measure_images(found, out, full_scale)


COMMANDS = (measure,)


def _measure_images(images: ImageSets, out: Path, full_scale: int | None) -> None:
    from imaging.measure_images import write_image_metrics

    written = write_image_metrics(images, out, full_scale=full_scale, on_set=progress(len(images.sets)))
    typer.echo(f"wrote {out}: {counted(written.sets, 'image set')}, {_channels(images)}")
    raise_unmeasured(written.unmeasured, written.images, str(out))


def _measure_objects(
    images: ImageSets, labels: str, chosen: dict[str, str], options: FeatureOptions, out: Path, full_scale: int | None
) -> None:
    from imaging.label_sets import open_label_sets
    from imaging.measure_labels import IMAGE, write_object_features

    found = open_label_sets(labels, images, chosen)
    _print_label_notes(found, images, chosen)
    on_set = progress(len(images.sets))
    written = write_object_features(images, found, out, options, full_scale=full_scale, on_set=on_set)
    counts = ", ".join(f"{written.rows[name]:,} {name}" for name in found.objects)
    names = ", ".join(str(written.files[name]) for name in (*found.objects, IMAGE))
    typer.echo(f"wrote {names}: {counted(written.sets, 'image set')}, {_channels(images)}; {counts}")
    _print_older(out, list(written.files.values()))
    things = written.images + sum(len(one.files) for one in found.sets.values())
    raise_unmeasured(written.unmeasured, things, str(written.files[IMAGE]), "images and label images")


def _channels(images: ImageSets) -> str:
    return f"{counted(len(images.channels), 'channel')} ({', '.join(images.channels)})"


def _feature_options(families: str, more: str, texture_scales: str, texture_scaling: str, ties: str) -> FeatureOptions:
    """What to measure, of texts: all faults at once."""
    from imaging.errors import ConfigurationError
    from kernels.feature_options import FAMILIES, FeatureOptions

    problems: list[str] = []
    names = {name.lower(): name for name in FAMILIES}
    chosen = _listed(families)
    problems += _refuse_others("--families", chosen, names)
    added = _listed(more)
    problems += _refuse_others("--with", added, _MORE)
    problems += _refuse_others("--texture-scaling", [texture_scaling], {"full": "", "percentile": ""})
    problems += _refuse_others("--ties", [ties], {"cellprofiler": "", "first": ""})
    scales = [int(text) for text in _listed(texture_scales) if text.isascii() and text.isdigit()]
    if len(scales) != len(_listed(texture_scales)) or not scales or not all(1 <= scale <= 100 for scale in scales):
        problems.append(f"--texture-scales takes whole numbers from 1 to 100 with commas, got {texture_scales!r}")
    if problems:
        raise ConfigurationError("what to measure cannot be understood", tuple(problems))
    return FeatureOptions(
        families=tuple(names[name.lower()] for name in chosen) or FAMILIES,
        texture_scales_px=tuple(dict.fromkeys(scales)),
        texture_scaling="percentile" if texture_scaling == "percentile" else "full",
        ties="first" if ties == "first" else "cellprofiler",
        **{_MORE[name.lower()]: True for name in added},
    )


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _refuse_others(option: str, given: Sequence[str], known: dict[str, str]) -> list[str]:
    shown = ", ".join(name or key for key, name in known.items()) if option == "--families" else ", ".join(known)
    return [f"{option} knows {shown}; got {name!r}" for name in given if name.lower() not in known]


def _refuse_unused(labels: str, objects: Sequence[str], options: FeatureOptions) -> None:
    """Options of objects need labels."""
    from imaging.errors import ConfigurationError
    from kernels.feature_options import FeatureOptions

    if not labels and (objects or options != FeatureOptions()):
        raise ConfigurationError("options of objects and their features need --labels; give it, or leave them out")


def _print_label_notes(labels: LabelSets, images: ImageSets, chosen: dict[str, str]) -> None:
    notes = list(labels.notes)
    if not chosen and {"Nuclei", "Cells"} <= set(labels.objects) and "Cytoplasm" not in labels.objects:
        notes.append("there are no labels of Cytoplasm, so it is not measured")
    lacking = [one.name for one in images.sets if set(labels.objects) - set(_files(labels, one.name))]
    if lacking:
        have = "lacks labels" if len(lacking) == 1 else "lack labels"
        first = set(labels.objects) - set(_files(labels, lacking[0]))
        absent = ", no ".join(name for name in labels.objects if name in first)
        notes.append(
            f"{len(lacking):,} of {counted(len(images.sets), 'image set')} {have}, first {lacking[0]}: no {absent}"
        )
    for note in notes:
        typer.echo(f"note: {note}", err=True)


def _print_older(out: Path, files: Sequence[Path]) -> None:
    """Tell of object sets that only an earlier run wrote."""
    like = (path for path in out.parent.iterdir() if path.name.startswith(f"{out.stem}.") and path.suffix == out.suffix)
    older = sorted(path.name for path in like if path not in files and path != out)
    if older:
        typer.echo(f"note: {', '.join(older)}: not of this run", err=True)


def _files(labels: LabelSets, image_set: str) -> dict[str, str]:
    return dict(labels.sets[image_set].files) if image_set in labels.sets else {}


def choose_device(said: str) -> None:
    """Compute where the command line or the environment says."""
    from flows.settings import Settings

    device = Settings(**({"device": said} if said else {})).device
    if device != "cpu":
        from flows.worker import choose_device

        choose_device(device)


def globs_of(option: str, texts: list[str], *, are_optional: bool = False) -> dict[str, str]:
    """Globs by name of ``NAME=GLOB`` texts, or ``NAME`` alone where globs are optional: all faults at once."""
    from imaging.errors import ConfigurationError

    form = "NAME or NAME=GLOB, such as 'Nuclei=*_nuclei.tif'" if are_optional else "NAME=GLOB, such as 'DNA=*_w1.tif'"
    split = [(name.strip(), sign, glob.strip()) for name, sign, glob in (text.partition("=") for text in texts)]
    names = [name for name, _, _ in split]
    problems = [
        f"{option} {text!r} must be {form}"
        for text, (name, sign, glob) in zip(texts, split, strict=True)
        if not name or not (glob or (are_optional and not sign))
    ]
    problems += [f"{name} is given {names.count(name)} times" for name in dict.fromkeys(names) if names.count(name) > 1]
    if problems:
        what = "object sets" if are_optional else "channels"
        raise ConfigurationError(f"the {what} cannot be understood", tuple(problems))
    return {name: glob for name, _, glob in split}


def print_notes(found: ImageSets) -> None:
    """Tell what a user should know about the images, and one line about image sets that are not whole."""
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
    lacking = found.lacking()
    if lacking:
        first, channels = lacking[0]
        have = "lacks a channel" if len(lacking) == 1 else "lack a channel"
        typer.echo(
            f"note: {len(lacking):,} of {counted(len(found.sets), 'image set')} {have}, first {first.name}: no "
            f"{', no '.join(channels)}",
            err=True,
        )


def progress(total: int) -> Callable[[int], None]:
    """Rewrite one line of a terminal with the number of sets that are done."""
    is_shown = total > 1 and sys.stderr.isatty()

    def show(done: int) -> None:
        if is_shown:
            typer.echo(f"\r{done:,} of {total:,} image sets", nl=done == total, err=True)

    return show


def raise_unmeasured(unmeasured: Sequence[Unmeasured], total: int, out: str, things: str = "") -> None:
    """Fail when something that is there could not be measured; what is written stays."""
    from imaging.errors import UnreadableImageError

    if unmeasured:
        first = unmeasured[0]
        whole = f"{total:,} {things}" if things else counted(total, "image")
        raise UnreadableImageError(
            f"{len(unmeasured):,} of {whole} could not be measured and "
            f"{'is' if len(unmeasured) == 1 else 'are'} NULL in {out}, first {first.channel} of "
            f"{first.image_set}: {first.reason}",
            key=first.file,
        )
