"""What every instrument format does: objects of a folder in, planes with their places and the manifest's word out.

    Format.read(objects, folder) -> Delivery
      planes        each plane that was recognised: which object, where inside it, where it belongs
      passed_over   each other object: ignored (thumbnails, logs, manifests) or unknown, with the reason
      told          what the instrument's own files say: plate, channels, pixel size, the expected planes

A format knows nothing of experiment.yaml: it says what is there, with the instrument's own codes of channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from imaging.store import StoredObject
from imaging.wells import Well


@dataclass(frozen=True, slots=True)
class Address:
    """Where a plane belongs; sites, z and t count from 1. ``code`` is the channel in the instrument's words.

    ``acquisition`` tells apart what one folder holds of several measurements of a plate; mostly it is empty.
    """

    well: Well
    site: int
    code: str = ""
    z: int = 1
    t: int = 1
    acquisition: str = ""


@dataclass(frozen=True, slots=True)
class FoundPlane:
    """One plane of an uploaded object, whose key is its path inside the folder.

    ``inside`` names the plane within the object, as ``imaging.formats.inside`` reads it; empty where the object is one
    plane.
    """

    item: StoredObject
    address: Address
    inside: str = ""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """An object that is no plane, and why; ``ignored`` is meant to lie there, ``unknown`` is somebody's question."""

    name: str
    kind: Literal["ignored", "unknown"]
    reason: str


@dataclass(frozen=True, slots=True)
class ToldChannel:
    """A channel as an instrument's file tells it; what it does not say is empty or ``None``."""

    code: str
    name: str = ""
    emission_nm: float | None = None
    excitation_nm: float | None = None
    exposure_s: float | None = None
    full_scale: int | None = None
    flat_field: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What the instrument's own files say; empty where they say nothing.

    ``expected`` holds every plane that should come, or is ``None`` where no manifest says it; ``not_taken`` are those
    that the instrument says it failed to take, with its words. ``positions_um`` centres of sites (x, y) from the well's
    centre. ``problems`` are sentences about manifests that cannot be read: what they would have said is not known, and
    nothing else fails. ``remarks`` are sentences about what manifests do say and people should know.
    """

    plate: str = ""
    measurement: str = ""
    instrument: str = ""
    wells: int | None = None
    imaged: tuple[Well, ...] = ()
    channels: tuple[ToldChannel, ...] = ()
    pixel_size_um: float | None = None
    z_step_um: float | None = None
    expected: frozenset[Address] | None = None
    positions_um: dict[tuple[str, int], tuple[float, float]] = field(default_factory=dict)
    manifests: tuple[str, ...] = ()
    not_taken: dict[Address, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


NOTHING_TOLD = Told()


@dataclass(frozen=True, slots=True)
class Delivery:
    """A folder as a format reads it."""

    planes: tuple[FoundPlane, ...]
    passed_over: tuple[PassedOver, ...] = ()
    told: Told = NOTHING_TOLD


class Folder(Protocol):
    """The folder that a listing is of."""

    def read(self, name: str, /, *, token: str, start: int = 0, size: int | None = None) -> bytes:
        """Bytes of one object of that version, from ``start``, at most ``size``.

        Raises
        ------
        ChangedObjectError, FileNotFoundError
            If that version is gone.
        """
        ...


class Format(Protocol):
    """An instrument's way of naming and describing its images."""

    @property
    def name(self) -> str:
        """Its word in experiment.yaml (``files.format``)."""
        ...

    @property
    def title(self) -> str:
        """Instrument and software, for people."""
        ...

    @property
    def example(self) -> str:
        """A name of an image."""
        ...

    def count(self, names: Sequence[str]) -> int:
        """How many of these paths it would take for images; of two formats the one that takes more is right."""
        ...

    def read(self, objects: Sequence[StoredObject], folder: Folder) -> Delivery:
        """Sort a listing. Manifests and containers are read once per version; pixels never are.

        Raises
        ------
        ConfigurationError
            Never for what lies in the folder: that is told in ``passed_over`` and ``Told.problems``.
        """
        ...


LONGEST_UM = 1e6
"""Nothing on a plate lies further away than a metre: a greater number in an instrument's file is damage."""


def is_length(micrometres: float) -> bool:
    """Whether a number can be a length or a place on a plate, in micrometres."""
    return math.isfinite(micrometres) and abs(micrometres) <= LONGEST_UM
