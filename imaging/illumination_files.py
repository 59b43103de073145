"""Fields of illumination from files beside experiment.yaml: of CellProfiler, of a flat-field image, of the instrument.

    .npz           arrays named after their channels, also as CellProfiler's pipelines name them (``IllumDNA``)
    .npy           one channel's field, as CellProfiler's SaveImages writes it
    .tif, .tiff    one channel's field: an image of an evenly bright plane, of whole or floating-point numbers
    .xml           Harmony's Index.xml: a polynomial per channel; a channel is known by its code or its name

Each field covers the whole plane pixel by pixel, on any scale; it is averaged on the grid of the thumbnails. Harmony's
polynomials have a row of coefficients per degree ``n``, those of ``x^(n-m) y^m`` for ``m`` from 0 to ``n``, with x and
y scaled from the plane's middle: on a plate of an Operetta this reading alone gives a mean of
1.0000, and it fits the images best.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from typing import IO, Any
from xml.etree.ElementTree import ParseError

import numpy as np
import tifffile
import yaml
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring
from numpy.typing import NDArray

from imaging.errors import ConfigurationError
from imaging.experiment import Channel, Experiment
from imaging.illumination import Illumination
from imaging.illumination_field import PlateField
from imaging.npz_planes import read_array_header
from kernels.fields import rescale_field, shrink_field
from kernels.thumbnails import thumbnail_factor

Read = Callable[[str], bytes]
Plane = NDArray[Any]

MAX_SIDE_PX = 16_384
_CHANNEL_NUMBER = re.compile(r"(?:ch)?0*(\d+)", re.IGNORECASE)


class _FileFaultError(Exception):
    """What is wrong with a file, in words."""


def read_declared_field(read: Read, experiment: Experiment) -> PlateField | None:
    """Read the fields that the section ``illumination`` names files for; ``None`` if it names none.

    Parameters
    ----------
    read
        Gives the bytes of a file named as in experiment.yaml; ``FileNotFoundError`` if there is none.
    experiment
        The declaration.

    Raises
    ------
    ConfigurationError
        With every fault of every file in ``problems``.
    """
    section = experiment.illumination
    named = _files_of_channels(section, experiment)
    planes: dict[str, Plane] = {}
    problems: list[str] = []
    opened: dict[str, Any] = {}
    for channel, (place, name) in named.items():
        try:
            if name not in opened:
                opened[name] = _open(name, _read_file(read, name))
            plane = _plane_of(opened[name], channel, section)
            if plane is not None:
                planes[channel.name] = plane
            elif section.files:
                raise _FileFaultError(f"holds no field of channel {channel.name}")
        except _FileFaultError as fault:
            problems.append(f"{place}: {name} {fault}")
    if named and not planes and not problems:
        held = ", ".join(channel.name for channel in experiment.channels)
        problems.append(f"illumination.file: {section.file} holds no field of any channel ({held})")
    if len({plane.shape for plane in planes.values()}) > 1:
        sizes = ", ".join(f"{channel} {plane.shape[1]} x {plane.shape[0]}" for channel, plane in planes.items())
        problems.append(f"illumination: the fields must have one size in pixels, that of the images, got {sizes}")
    if problems:
        problems = list(dict.fromkeys(problems))
        message = f"the fields of illumination have {len(problems)} fault{'s' if len(problems) > 1 else ''}"
        raise ConfigurationError(message, tuple(problems), experiment=experiment.name)
    return _on_grid(planes) if planes else None


def _files_of_channels(section: Illumination, experiment: Experiment) -> dict[Channel, tuple[str, str]]:
    """Channels with the place in experiment.yaml and the name of the file that is to hold their field."""
    if section.file:
        return dict.fromkeys(experiment.channels, ("illumination.file", section.file))
    files = section.files or {}
    return {
        channel: (f"illumination.files.{channel.name}", files[channel.name])
        for channel in experiment.channels
        if channel.name in files
    }


def _on_grid(planes: Mapping[str, Plane]) -> PlateField:
    height, width = next(iter(planes.values())).shape
    factor = thumbnail_factor(height, width)
    fields = {channel: rescale_field(shrink_field(plane, factor)) for channel, plane in planes.items()}
    return PlateField(height, width, fields)


def _read_file(read: Read, name: str) -> bytes:
    try:
        return read(name)
    except FileNotFoundError:
        raise _FileFaultError("is not there; put it beside experiment.yaml, or correct the name") from None
    except OSError as error:
        raise _FileFaultError(f"cannot be read: {error}") from None


def _open(name: str, data: bytes) -> Any:
    """What a file holds: a plane, planes by name, or a Harmony index."""
    end = name.rsplit(".", 1)[-1].lower()
    try:
        if end == "xml":
            return _read_harmony(data)
        if end in ("npz", "npy"):
            return _read_arrays(data)
        return _read_tiff(data)
    except _FileFaultError:
        raise
    except (ValueError, OSError, EOFError, KeyError, IndexError, TypeError, zipfile.BadZipFile) as error:
        raise _FileFaultError(
            f"cannot be read: {str(error).splitlines()[0] if str(error) else 'it ends early'}"
        ) from None


def _read_tiff(data: bytes) -> Plane:
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        series = file.series[0]
        _check_form("image", series.shape, series.dtype)
        return _checked("image", series.asarray())


def _read_arrays(data: bytes) -> Plane | dict[str, Plane]:
    if not data.startswith(b"PK"):
        return _read_array("array", lambda: io.BytesIO(data))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {
            (name := member.removesuffix(".npy")): _read_array(f"array {name}", partial(archive.open, member))
            for member in archive.namelist()
        }


def _read_array(what: str, opened: Callable[[], IO[bytes]]) -> Plane:
    """Read an array after its header says that it can be a field: packed zeros could be as large as one likes."""
    with opened() as file:
        shape, dtype, _ = read_array_header(file)
    _check_form(what, shape, dtype)
    with opened() as file:
        return _checked(what, np.lib.format.read_array(file, allow_pickle=False))


def _check_form(what: str, shape: tuple[int, ...], dtype: np.dtype | None) -> None:
    if dtype is None or dtype.kind not in "uif":
        raise _FileFaultError(f"must hold numbers of 0 or more, got an {what} of {dtype}")
    if len(shape) != 2 or 0 in shape or max(shape) > MAX_SIDE_PX:
        raise _FileFaultError(f"must hold one plane of pixels, got an {what} of shape {shape}")


def _checked(what: str, plane: Plane) -> Plane:
    """The plane if its values can be those of a field."""
    if not np.isfinite(plane).all() or not (plane > 0).any() or (plane < 0).any():
        raise _FileFaultError(f"must hold numbers of 0 or more, some of them above 0, got other ones in an {what}")
    return plane


def _plane_of(opened: Any, channel: Channel, section: Illumination) -> Plane | None:
    """The plane of one channel in an opened file."""
    if isinstance(opened, np.ndarray):
        return opened
    if isinstance(opened, _HarmonyIndex):
        return opened.draw(channel, section.profile)
    return next((opened[name] for name in (channel.name, f"Illum{channel.name}") if name in opened), None)


class _HarmonyIndex:
    """The flat-field profiles of an Index.xml by the number of their channel."""

    def __init__(self, profiles: Mapping[str, Mapping[str, Any]]) -> None:
        self.profiles = profiles

    def draw(self, channel: Channel, which: str) -> Plane | None:
        """The profile of a channel over the whole plane; ``None`` if there is none."""
        number = _CHANNEL_NUMBER.fullmatch(channel.code)
        profile = self.profiles.get(number[1]) if number else None
        if profile is None:
            named = (item for item in self.profiles.values() if item.get("ChannelName") in (channel.name, channel.code))
            profile = next(named, None)
        return None if profile is None else _draw_profile(profile, which)


def _read_harmony(data: bytes) -> _HarmonyIndex:
    try:
        root = fromstring(data, forbid_dtd=True)
    except DefusedXmlException:
        raise _FileFaultError("declares entities, which Harmony does not; it is not read") from None
    except (ParseError, ValueError, LookupError) as error:  # the last is an encoding that nobody knows
        raise _FileFaultError(f"is no XML: {error}") from None
    profiles = {}
    for entry in root.iter():
        if entry.tag.rpartition("}")[2] != "Entry" or "ChannelID" not in entry.attrib:
            continue
        for child in entry:
            if child.tag.rpartition("}")[2] == "FlatfieldProfile" and child.text:
                profiles[entry.attrib["ChannelID"]] = _read_profile(child.text)
    if not profiles:
        raise _FileFaultError("holds no FlatfieldProfile; export the plate with its flat-field correction")
    return _HarmonyIndex(profiles)


def _read_profile(text: str) -> Mapping[str, Any]:
    """Read a profile; its notation, ``{Mean: 373.7, Dims: [1080, 1080]}``, is that of a YAML mapping in one line."""
    try:
        profile = yaml.safe_load(text)
    except yaml.YAMLError:
        raise _FileFaultError("has a FlatfieldProfile that cannot be read") from None
    if not isinstance(profile, dict):
        raise _FileFaultError("has a FlatfieldProfile that cannot be read")
    return profile


def _draw_profile(profile: Mapping[str, Any], which: str) -> Plane:
    described = profile.get(which.capitalize()) or {}
    polynomial = described.get("Profile") or {}
    if polynomial.get("Type") != "Polynomial":
        raise _FileFaultError(f"has no polynomial {which} profile for channel {profile.get('ChannelName')}")
    try:
        return _checked("polynomial", _draw_polynomial(polynomial))
    except (KeyError, TypeError, ValueError) as error:
        raise _FileFaultError(f"has a {which} profile that cannot be read: {error}") from None


def _draw_polynomial(polynomial: Mapping[str, Any]) -> Plane:
    (width, height), (x_middle, y_middle) = polynomial["Dims"], polynomial["Origin"]
    if not 1 <= max(width, height) <= MAX_SIDE_PX:
        raise ValueError(f"it is for planes of {width} x {height} pixels")
    x_scale, y_scale = polynomial["Scale"]
    x, y = (np.arange(width) - x_middle) * x_scale, ((np.arange(height) - y_middle) * y_scale)[:, np.newaxis]
    plane = np.zeros((height, width))
    for degree, row in enumerate(polynomial["Coefficients"]):
        for power, coefficient in enumerate(row):
            plane += coefficient * x ** (degree - power) * y**power
    return np.maximum(plane, 0)
