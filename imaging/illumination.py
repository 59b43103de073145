"""How an experiment's planes are corrected for uneven illumination: the section ``illumination`` of experiment.yaml.

    none        (default) raw planes are measured
    file        fields from files beside experiment.yaml: of CellProfiler, of a flat-field image, of the instrument
    previous    of each channel, the field that a plate published before gave, the newest that is good enough
    plate       the plate's own: image metrics and thumbnails first, features when every site is there

A plate's field is frozen by one record before the first feature is measured (``imaging.illumination_frozen``). Image
metrics, thumbnails and stored pixels are always raw.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from imaging.declared import Declared, Fault, did_you_mean
from imaging.errors import RefusedNameError
from imaging.names import check_name

Source = Literal["none", "file", "previous", "plate"]
Variant = Literal["robust", "mean"]
VARIANTS: tuple[Variant, ...] = ("robust", "mean")
"""The two estimates of a plate's field: of its background, without cells and debris; of the mean of all its pixels."""

AWAITED = "awaited"
"""Stands for the field of a plate until it is frozen."""

ALL_CHANNELS, ONE_CHANNEL = (".npz", ".xml"), (".npz", ".xml", ".npy", ".tif", ".tiff")
"""Ends of the names of files that hold the fields of all channels, and of those that can hold the field of one."""


def _spelled_out(value: Any) -> Any:
    return {"source": value} if isinstance(value, str) else value


class Illumination(Declared):
    """Where the field of illumination comes from; ``illumination: plate`` is short for ``{source: plate}``."""

    source: Source = Field(description="where the field comes from: none, file, previous or plate")
    file: str | None = Field(None, description="a file with the fields of all channels: .npz, or Harmony's Index.xml")
    files: dict[str, str] | None = Field(None, description="a file for each channel, such as {DNA: fields/DNA.tif}")
    profile: Literal["foreground", "background"] = Field(
        "foreground", description="which of Harmony's two profiles is taken: foreground or background"
    )
    variant: Variant = Field("robust", description="which estimate of a plate is taken: robust or mean")
    instrument: str | None = Field(
        None, description="name of the microscope; experiments that name the same one share their plates' fields"
    )
    min_sites: int = Field(16, ge=2, le=1_000_000, description="sites that a plate's field must come from")
    max_error_percent: float = Field(1.0, gt=0, le=100, description="how uncertain a plate's field may be, in percent")
    warn_drift_percent: float = Field(
        5.0, gt=0, le=1000, description="how far a plate's own field may lie from the frozen one, in percent"
    )

    @field_validator("instrument")
    @classmethod
    def _named(cls, name: str) -> str:
        try:
            return check_name("instrument", name)
        except RefusedNameError as error:
            raise ValueError(error.message) from None

    @property
    def shelf(self) -> str | None:
        """Where plates of this instrument lay their fields for later ones; ``None``: by the experiment's name."""
        return f"instrument-{self.instrument}" if self.instrument else None

    def pixel_part(self) -> dict[str, Any] | None:
        """All that corrected values depend on, JSON-able; ``None`` where nothing is corrected."""
        return None if self.source == "none" else self.model_dump(mode="json", exclude={"warn_drift_percent"})

    def analysis_part(self) -> dict[str, Any]:
        """All that a publication says about illumination depends on, JSON-able; nothing where none is corrected."""
        if self.source == "none":
            return {}
        return {"illumination": {"warn_drift_percent": self.warn_drift_percent}}


DeclaredIllumination = Annotated[Illumination, BeforeValidator(_spelled_out)]
NO_CORRECTION = Illumination.model_validate({"source": "none"})


def pinned_values(pins: Mapping[str, Any], field: str | None) -> dict[str, Any]:
    """All that a site's values depend on besides its images: the pins, and the frozen field by its content.

    Parameters
    ----------
    pins
        The plate's pins.
    field
        Digest of the frozen field; ``None`` if the plate is not corrected, ``AWAITED`` if that is not known yet.
    """
    if not pins.get("illumination"):
        return dict(pins)
    return {**pins, "illumination": {**pins["illumination"], "field": field}}


def is_preview(values: Mapping[str, Any]) -> bool:
    """Whether only images are to be measured, as the plate's own field is not known yet."""
    section = values.get("illumination") or {}
    return section.get("source") == "plate" and section.get("field") == AWAITED


def find_illumination_faults(tree: Mapping[str, Any]) -> Iterator[Fault]:
    """Contradictions between the section and the rest of an experiment's tree."""
    section = tree.get("illumination")
    section = _spelled_out(section)
    if not isinstance(section, dict):
        return
    source, has_files = section.get("source"), section.get("file") is not None or section.get("files") is not None
    if source == "file" and not has_files:
        yield ("illumination",), "needs file, or files with one file for each channel"
    if source in ("none", "plate"):
        for key in ("file", "files"):
            if section.get(key) is not None:
                yield ("illumination", key), f"is not used with source {source}; leave it out, or use source file"
    if section.get("file") is not None and section.get("files") is not None:
        yield ("illumination", "files"), "stands beside file; keep one of the two"
    yield from _file_faults(section, tree)
    if tree.get("images") == "none":
        if source == "plate":
            yield ("illumination",), "needs thumbnails of the plate, and images: none keeps none; use images: zarr"
        elif source == "previous" and not (has_files or section.get("instrument")):
            yield ("illumination",), "finds no field: with images: none no plate of this experiment gives one"


def _file_faults(section: Mapping[str, Any], tree: Mapping[str, Any]) -> Iterator[Fault]:
    if isinstance(section.get("file"), str):
        yield from _name_fault(("illumination", "file"), section["file"], ALL_CHANNELS)
    files = section.get("files")
    if not isinstance(files, dict):
        return
    if not files:
        yield ("illumination", "files"), "is empty; give a file for each channel, such as {DNA: fields/DNA.tif}"
    channels = tree.get("channels")
    entries = channels if isinstance(channels, list) else []
    names = [entry["name"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("name"), str)]
    for channel, name in files.items():
        if channel not in names:
            yield ("illumination", "files", channel), f"is not among the channels; {did_you_mean(str(channel), names)}"
        if isinstance(name, str):
            yield from _name_fault(("illumination", "files", channel), name, ONE_CHANNEL)


def _name_fault(place: tuple[str | int, ...], name: str, ends: tuple[str, ...]) -> Iterator[Fault]:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        yield place, f"must name a file beside experiment.yaml or in a folder there, got {name!r}"
    elif path.suffix.lower() not in ends:
        yield place, f"must end with {', '.join(ends)}, got {name!r}"
