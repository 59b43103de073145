"""`platestream init` and `platestream check`: an experiment's declaration, before any pixel is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from flows.cli_results import STORE, counted, open_existing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from imaging.errors import ConfigurationError
    from imaging.experiment import Experiment
    from imaging.folders import StoredFolder
    from imaging.formats.contract import PassedOver
    from imaging.initialize import FolderLook
    from imaging.platemaps import MapsCheck
    from imaging.store import Listing, Store

LISTED = 100
"""As many ignored and unknown names are printed."""


def init(
    folder: Path = typer.Argument(help="Folder of one plate's images, or a .zip or .tar of it."),
    out: Path = typer.Option(Path("experiment.yaml"), "--out", "-o", help="File to write."),
    name: str = typer.Option("", help="Name of the experiment.", show_default="the folder's name"),
    force: bool = typer.Option(False, "--force", help="Overwrite the file if it exists."),
    as_json: bool = typer.Option(False, "--json", help="Print what was found as JSON and write no file."),
) -> None:
    """Write a first experiment.yaml from the names, manifests and headers of a folder of images."""
    from imaging.errors import ConfigurationError
    from imaging.experiment_text import write_experiment_yaml
    from imaging.initialize import look_at
    from imaging.names import check_name

    called = folder.resolve().name if folder.is_dir() else folder.resolve().stem
    if not as_json:
        check_name("experiment", name or called)
    listing, images = _open_images(folder)
    if out.exists() and not (force or as_json):
        raise ConfigurationError(f"{out} exists; use --force to overwrite it, or --out for another file")
    look = look_at(listing.objects, images, name=called)
    if as_json:
        typer.echo(json.dumps(_look_as_dict(look), indent=2))
        return
    if not out.resolve().parent.is_dir():
        raise ConfigurationError(f"there is no folder {out.parent} to write {out.name} into; make it first")
    out.write_text(write_experiment_yaml(look, name=name or called), encoding="utf-8")
    typer.echo(f"wrote {out}: {_describe_look(look)}")
    for note in look.notes:
        typer.echo(f"note: {note}")
    if not any(channel.role == "nucleus" for channel in look.channels):
        typer.echo("note: no channel looks like the nuclei; give one the role nucleus, else no object is measured")
    typer.echo(f"next: read it, then `platestream check {out} --images {folder}`")


def check(
    file: Path = typer.Argument(Path("experiment.yaml"), help="The declaration to check."),
    experiment: str = typer.Option("", help="Check the one stored for this experiment instead."),
    store: str = STORE,
    images: Path | None = typer.Option(None, help="Count which files of this plate's folder would be images."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON."),
) -> None:
    """Check an experiment.yaml and the files that it names: all faults, each with its place and what to do."""
    from imaging.platemaps import check_plate_maps, find_in_folder
    from imaging.recipe_book import read_recipes
    from imaging.store import open_store

    declared, read, folder = _open_stored(store, experiment) if experiment or store else _open_file(file)
    plates = _plates_in_store(store, experiment) if experiment or store else []
    find_in_plate = (lambda path: find_in_folder(open_store(str(images)), "", path)) if images is not None else None
    result = _describe(declared) | _describe_plate_maps(check_plate_maps(read, declared, plates, find_in_plate))
    result["recipes"] = _describe_recipes(*read_recipes(declared, *folder))
    result["illumination"] = _describe_illumination(declared, read)
    if images is not None:
        result["images"] = _count_images(declared, images)
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        _print_result(result)


COMMANDS = (init, check)


def _open_images(folder: Path) -> tuple[Listing, StoredFolder]:
    """The listing of a plate's folder, or of the folder around an archive with the archive alone in it.

    Raises
    ------
    ConfigurationError
        If it is neither.
    """
    from imaging.errors import ConfigurationError
    from imaging.folders import StoredFolder
    from imaging.formats.members import ARCHIVES, COMPRESSED
    from imaging.store import FolderStore, Listing, open_store

    if folder.is_dir():
        store = open_store(str(folder))
        return store.list(""), StoredFolder(store)
    if not folder.is_file():
        raise ConfigurationError(f"there is no folder {folder}; give the folder of one plate's images")
    if not folder.name.lower().endswith((*ARCHIVES, *COMPRESSED)):
        raise ConfigurationError(f"{folder} is a file; give the folder of one plate's images, or a .zip or .tar of it")
    around = FolderStore(folder.resolve().parent)
    return Listing((around.look_up(folder.resolve().name),)), StoredFolder(around)


def _open_file(file: Path) -> tuple[Experiment, Callable[[str], bytes], tuple[Store, str]]:
    """The declaration in a file, a reader of the files beside it, and their store and folder."""
    from imaging.errors import ConfigurationError
    from imaging.experiment import read_experiment
    from imaging.store import FolderStore

    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be read ({error.strerror}); `platestream init FOLDER` writes a first one"
        ) from error
    beside = FolderStore(file.resolve().parent), ""
    return read_experiment(data, place=str(file)), lambda name: (file.parent / name).read_bytes(), beside


def _open_stored(store: str, name: str) -> tuple[Experiment, Callable[[str], bytes], tuple[Store, str]]:
    """The declaration of an experiment in the store, a reader of the files beside it, and their store and folder."""
    from flows.settings import Settings
    from imaging.errors import ConfigurationError
    from imaging.job import open_experiment
    from imaging.names import check_name, experiment_key

    if not name:
        raise ConfigurationError("which experiment of the store? give --experiment NAME")
    root = open_existing(Settings(store=store) if store else Settings())
    folder = experiment_key(check_name("experiment", name)).rpartition("/")[0]
    return open_experiment(root, name), lambda file: root.read(f"{folder}/{file}"), (root, f"{folder}/")


def _count_images(declared: Experiment, folder: Path) -> dict[str, Any]:
    """How many files of a plate's folder are images, and which are not."""
    from imaging.arrivals import sort_arrivals
    from imaging.errors import ConfigurationError

    listing, found = _open_images(folder)
    arrivals = sort_arrivals(declared, "", listing.objects, listing.refused, found)
    arrived = sum(len(channels) for channels in arrivals.images.values())
    if not arrived:
        reason = f"; {arrivals.unknown[0].name}: {arrivals.unknown[0].reason}" if arrivals.unknown else ""
        raise ConfigurationError(f"no file in {folder} is an image of this experiment{reason}")
    return {
        "expected": sum(len(channels) for channels in arrivals.expected.values()),
        "arrived": arrived,
        "unknown": [{"name": file.name, "reason": file.reason} for file in arrivals.unknown],
    }


def _look_as_dict(look: FolderLook) -> dict[str, Any]:
    """What was found, with lists of names cut to ``LISTED``."""
    from dataclasses import asdict

    return {
        "format": look.format,
        "title": look.title,
        "pattern": look.pattern or None,
        "plates": [asdict(plate) for plate in look.plates],
        "plate_wells": look.plate_wells,
        "wells": list(look.wells),
        "imaged": list(look.imaged),
        "sites": list(look.sites),
        "channels": [asdict(channel) for channel in look.channels],
        "images": look.image_count,
        "expected": look.expected,
        "manifests": list(look.manifests),
        "pixel_size_um": look.pixel_size_um,
        "z": list(look.planes),
        "time_points": list(look.time_points),
        "ignored": _names_as_dict(look.ignored),
        "unknown": _names_as_dict(look.unknown),
        "notes": list(look.notes),
    }


def _names_as_dict(names: Sequence[PassedOver]) -> dict[str, Any]:
    """Names with reasons, how many there are of each reason, and the first of them."""
    from collections import Counter

    return {
        "count": len(names),
        "reasons": dict(Counter(item.reason for item in names).most_common(LISTED)),
        "names": [{"name": item.name, "reason": item.reason} for item in names[:LISTED]],
    }


def _describe_look(look: FolderLook) -> str:
    channels = ", ".join(channel.name for channel in look.channels)
    more = [
        f" of {look.expected} expected" if look.expected is not None else "",
        f", {counted(len(look.planes), 'z plane')}" if len(look.planes) > 1 else "",
        f", {counted(len(look.time_points), 'time point')}" if len(look.time_points) > 1 else "",
    ]
    return (
        f"{counted(look.image_count, 'image')}{more[0]}, wells {', '.join(look.imaged)} of {look.plate_wells}, "
        f"{counted(len(look.sites), 'site')} per well, channels {channels}{more[1]}{more[2]}"
    )


def _describe(declared: Experiment) -> dict[str, Any]:
    sites = len(declared.expected_sites())
    return {
        "experiment": declared.name,
        "recipe": declared.recipe_id,
        "wells": declared.layout.wells,
        "wells_imaged": len(declared.layout.imaged_wells),
        "sites": sites,
        "images": sites * len(declared.channels),
        "channels": [channel.model_dump() for channel in declared.channels],
        "objects": [part for part in ("nuclei", "cells") if getattr(declared.recipe, part) is not None],
        "patience_s": declared.patience_s,
    }


def _plates_in_store(store: str, experiment: str) -> list[str]:
    """Plates of an experiment that have a folder in the store."""
    from flows.settings import Settings

    root = open_existing(Settings(store=store) if store else Settings())
    return root.list_folders(f"raw/{experiment}")


def _describe_plate_maps(found: MapsCheck) -> dict[str, Any]:
    """What each plate map says, by its file, and what is suspicious."""
    from dataclasses import asdict

    files = {item.file: asdict(item) for item in found.files}
    for said in files.values():
        del said["file"]
    return {"plate_maps": files, "plate_map_warnings": list(found.warnings)}


def _say_map(said: dict[str, Any]) -> str:
    """``48 wells, 2 treatments, 8 negcon, 4 poscon; for P1, P2``."""
    controls = [f"{number} {control}" for control, number in said["controls"].items()]
    plates = list(said["plates"])
    more = f" and {len(plates) - 4} more" if len(plates) > 4 else ""
    shown = "every plate" if plates == ["*"] else ", ".join(plates[:4]) + more
    parts = [counted(said["wells"], "well"), counted(said["treatments"], "treatment"), *controls]
    return f"{', '.join(parts)}; for {shown}"


def _describe_recipes(
    named: Mapping[str, Experiment], faults: Mapping[str, ConfigurationError]
) -> list[dict[str, Any]]:
    """Recipes of files beside experiment.yaml: name and id.

    Raises
    ------
    ConfigurationError
        With the faults of all their files.
    """
    from imaging.errors import ConfigurationError

    if faults:
        problems = [f"{error.message}: {problem}" for error in faults.values() for problem in error.problems]
        raise ConfigurationError("experiment.yaml is sound, and recipes beside it are not:", tuple(problems))
    return [{"name": name, "recipe": each.recipe_id} for name, each in named.items()]


def _describe_illumination(declared: Experiment, read: Callable[[str], bytes]) -> dict[str, Any]:
    """Where the field of illumination comes from, and how uneven declared ones are by channel."""
    section = declared.illumination
    result: dict[str, Any] = {"source": section.source}
    if section.file or section.files:
        from imaging.illumination_files import read_declared_field

        field = read_declared_field(read, declared)
        fields = field.fields if field else {}
        result["declared"] = {name: float(values.max() / values.min()) for name, values in fields.items()}
    return result


def _print_result(result: dict[str, Any]) -> None:
    typer.echo(f"{result['experiment']} is sound: recipe {result['recipe']}")
    channels = ", ".join(
        f"{channel['name']} (code {channel['code']}, {channel['role']})" for channel in result["channels"]
    )
    typer.echo(f"channels    {channels}")
    typer.echo(
        f"plate       {result['wells_imaged']} of {result['wells']} wells imaged, {counted(result['sites'], 'site')}, "
        f"{counted(result['sites'] * len(result['channels']), 'image')}"
    )
    typer.echo(f"objects     {', '.join(result['objects']) or 'none: recipe.nuclei is not given, images are measured'}")
    for recipe in result["recipes"]:
        typer.echo(f"recipe      {recipe['recipe']} (recipes/{recipe['name']}.yaml)")
    for file, said in result["plate_maps"].items():
        typer.echo(f"plate map   {file}: {_say_map(said)}")
    for warning in result["plate_map_warnings"]:
        typer.echo(f"warning     {warning}")
    illumination = result["illumination"]
    if illumination["source"] != "none":
        shown = (
            f"; {name} brightest {ratio:.2f} x darkest" for name, ratio in illumination.get("declared", {}).items()
        )
        typer.echo(f"field       of illumination: {illumination['source']}{''.join(shown)}")
    images = result["images"]
    if isinstance(images, dict):
        typer.echo(f"images      {images['arrived']} of {images['expected']} are there")
        for file in images["unknown"][:10]:
            typer.echo(f"unknown     {file['name']}: {file['reason']}")
        if len(images["unknown"]) > 10:
            typer.echo(f"unknown     and {len(images['unknown']) - 10} more files")
