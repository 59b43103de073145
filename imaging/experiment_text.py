"""The text of a first experiment.yaml, with a comment beside what its reader should check."""

from __future__ import annotations

from imaging.guessed_channels import GuessedChannel
from imaging.initialize import FolderLook


def write_experiment_yaml(look: FolderLook, *, name: str) -> str:
    """Write what a folder seems to hold as a declaration that ``read_experiment`` takes.

    Parameters
    ----------
    look
        What ``look_at`` found.
    name
        Name of the experiment.
    """
    nucleus = next((f"channel: {channel.name}, " for channel in look.channels if channel.role == "nucleus"), "")
    rest = _REST.replace("NUCLEUS", nucleus)
    parts = [_head(name, look), _channels(look), _layout(look), _files(look), _recipe(look), rest]
    return "\n".join(parts)


def _head(name: str, look: FolderLook) -> str:
    notes = "".join(f"# Note: {note}.\n" for note in look.notes)
    how = f"named in the manner of {look.title}" if look.pattern else f"written by {look.title}"
    return (
        f"# Guessed from {look.image_count} images {how}. Read it once, then run\n"
        f"# `platestream check`.\n{notes}name: {_quoted(name)}\n"
    )


def _channels(look: FolderLook) -> str:
    lines = ["# role: nucleus (one), cell (at most one) or other. full_scale: the count at which the camera clips."]
    if not any(channel.role == "nucleus" for channel in look.channels):
        lines.append("# Which channel shows the nuclei? Give it a good name and the role nucleus, then see recipe.")
    lines.append("channels:")
    lines += [_channel(channel) for channel in look.channels]
    return "\n".join(lines) + "\n"


def _channel(channel: GuessedChannel) -> str:
    code = f", code: {_quoted(channel.code)}" if channel.code and channel.code != channel.name else ""
    doubt = "" if channel.is_measured else "   # full_scale is a guess"
    return f"  - {{name: {channel.name}{code}, role: {channel.role}, full_scale: {channel.full_scale}}}{doubt}"


def _layout(look: FolderLook) -> str:
    size = f"  pixel_size_um: {look.pixel_size_um:.7g}\n" if look.pixel_size_um else "  # pixel_size_um: 0.65\n"
    return (
        "layout:\n"
        f"  wells: {look.plate_wells}   # of the whole plate\n"
        f"  imaged: [{', '.join(look.imaged)}]   # wells seen so far; a plate being imaged may have more\n"
        f"  sites: {_counted(look.sites)}   # per well\n"
        f"{_times(look)}{_planes(look)}{size}"
    )


def _times(look: FolderLook) -> str:
    if look.time_points == (1,):
        return ""
    return f"  time_points: {_counted(look.time_points)}   # each is a series of sites of its own\n"


def _planes(look: FolderLook) -> str:
    """The number of planes, which a manifest tells better where there is one."""
    if look.expected is not None or look.stack in (None, 1):
        return ""
    return f"  z: {look.stack}   # planes of each stack seen so far\n"


def _counted(numbers: tuple[int, ...]) -> str:
    """How many there are, or all of them where they are not 1, 2, 3."""
    is_counted = numbers == tuple(range(1, len(numbers) + 1))
    return str(len(numbers)) if is_counted else f"[{', '.join(map(str, numbers))}]"


def _files(look: FolderLook) -> str:
    if not look.pattern:
        return f"files:\n  format: {look.format}\n"
    pattern = look.pattern.replace("'", "''")
    return f"files:\n  pattern: '{pattern}'\n"


def _recipe(look: FolderLook) -> str:
    diameter = "diameter_um: [5, 30]" if look.pixel_size_um else "diameter_px: [15, 90]"
    if any(channel.role == "nucleus" for channel in look.channels):
        return (
            "recipe:\n"
            "  name: v1\n"
            f"{_projection(look)}"
            f"  nuclei: {{{diameter}}}   # smallest and largest diameter of a nucleus; measure a few\n"
            "  cells: {}\n"
            "  # preset: jump   # for both of them: CellProfiler's steps as in JUMP's Cell Painting pipeline\n"
        )
    return (
        "# Without nuclei, images are measured and no objects. Once a channel has the role nucleus:\n"
        f"recipe:\n  name: v1\n{_projection(look)}  # nuclei: {{{diameter}}}\n  # cells: {{}}\n"
    )


def _projection(look: FolderLook) -> str:
    if len(look.planes) < 2:
        return ""
    return (
        f"  projection: max   # of {len(look.planes)} z planes; or mean, best-focus, or instead of it "
        f"plane: {look.planes[len(look.planes) // 2]}\n"
    )


_REST = """\
# What is in the wells: CSV, Excel or Harmony files beside this one, with columns such as well, treatment,
# concentration, control; or a table that names the map of each barcode. docs/plate-maps.md shows more.
# plate_maps:
#   - {file: platemaps/plate1.csv, plates: ["*"], concentration_unit: uM}
#   - {barcodes: barcode_platemap.csv}
# barcode: '^(?P<barcode>[^_]+)__'   # the barcode in a plate's name; left out, the whole name

# Where images may be processed: names of places, such as eu, europe-west4 or on-premises. Left out, anywhere.
# placement:
#   allowed: [eu, on-premises]
#   reason: patient material, contract 12

# What is computed of the plate. Verdicts (pass, warn, fail) have sensible rules without a word here: empty images fail,
# more than 1 % saturated pixels warn, and so do nuclei more blurred than in the plate's other wells or earlier plates.
# analysis:
#   statistics: [Nuclei_AreaShape_Area]   # features for which Z' and dose responses are computed
#   limits:     # fixed bounds of an image metric; they also find a plate that is wrong throughout
#     - {metric: PercentSaturated, warn_above: 1, fail_above: 10}
#   outliers:   # how many robust standard deviations from what is typical; side: low, high or both
#     - {metric: PowerLogLogSlope, NUCLEUSside: low, warn_z: 5, fail_z: 10, min_difference: 0.3}
#     - {metric: nuclei_count, side: low, warn_z: 5}               # against the plate's wells
#     - {metric: nuclei_count, against: history, warn_z: 5}        # the plate against the experiment's earlier plates
#   suspicions: {swapped_channels: off}   # checks of the plate as a whole: docs/suspicions.md

# Plates that were measured more than once, by their barcode: which acquisition is shown.
# current_acquisition: newest-complete   # or first, or by-hand

# Uneven illumination: plate corrects each plate with its own field, previous with that of the plate before.
# illumination: previous

patience: 30 min   # how long a missing image is waited for
images: zarr       # zarr keeps the pixels as OME-Zarr, none does not
"""


def _quoted(text: str) -> str:
    """A YAML text in double quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
