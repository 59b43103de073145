"""experiment.yaml: what the plates of an experiment should be, validated before any pixel is read.

    Experiment
      channels     Channel...     what was stained, and how its files are told apart
      layout       Layout         wells of the plate, which of them are imaged, sites per well
      files        Files          how files give their places: an instrument's format, or a pattern of names
      plate_maps   PlateMapSource...
      recipe       Recipe         every parameter that stored values depend on (imaging/recipes.py)
      illumination Illumination   whether and how planes are corrected (imaging/illumination.py)
      analysis     Analysis       what is computed from stored values, and the rules of verdicts (imaging/rules.py)
      placement    Placement      where images may be processed (imaging/placement.py)
      uploads      Uploads        which parameters an upload may set for experimental results (imaging/uploads.py)

``read_experiment`` is the only door: it reports all faults of a file at once, each with its place.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, BeforeValidator, Field, ValidationError, field_validator, model_validator

from imaging.cell_statistics import Statistic
from imaging.contradictions import find_contradictions
from imaging.declared import Declared, Texts, did_you_mean, explain_faults, one_or_many, spell_faults
from imaging.errors import ConfigurationError, RefusedNameError
from imaging.formats import FORMATS
from imaging.formats.contract import Format
from imaging.formats.named import PatternFormat
from imaging.illumination import NO_CORRECTION, DeclaredIllumination
from imaging.layouts import Layout
from imaging.names import check_name, hash_of
from imaging.patterns import compile_pattern
from imaging.placement import Placement
from imaging.plain_yaml import read_plain_yaml
from imaging.platemaps import PlateMapSource
from imaging.recipes import NUMBERS_VERSION, Recipe
from imaging.rules import Limit, Outlier, Rules, collect_rules
from imaging.suspicions.declared import SuspicionLimits
from imaging.uploads import Uploads

_STAIN_COLORS = {"dna": "0000FF", "dapi": "0000FF", "hoechst": "0000FF", "gfp": "00FF00", "fitc": "00FF00"}
_STAIN_COLORS |= {"er": "00FF00", "rna": "FFFF00", "agp": "FF8000", "mito": "FF0000", "rfp": "FF0000", "cy5": "FF00FF"}
_ROLE_COLORS = {"nucleus": "0000FF", "cell": "00FF00", "other": "FFFFFF"}
DEFAULT_ACQUISITION = "newest-complete"
"""Rule that says which acquisition of a plate is current where none is declared."""
_SECONDS = {"": 1, "s": 1, "min": 60, "h": 3600, "d": 86400}


def _seconds(value: Any) -> Any:
    """Seconds of ``1800``, ``30 min``, ``2 h``."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(s|min|h|d|)", str(value).strip())
    if match is None:
        raise ValueError(f"must be seconds or a time such as '30 min' or '2 h', 0 or more, got {value!r}")
    return float(match[1]) * _SECONDS[match[2]]


class Channel(Declared):
    """One stain or camera channel."""

    name: str = Field(description="the stain, such as DNA; it ends the names of features")
    code: str = Field(
        default_factory=lambda data: data.get("name", ""), min_length=1, description="its text in file names"
    )
    role: Literal["nucleus", "cell", "other"] = Field("other", description="nucleus, cell or other")
    full_scale: int = Field(ge=1, le=65535, description="count at which the camera clips, such as 65535, 4095 or 255")
    color: str = Field(
        default_factory=lambda data: default_color(data.get("name", ""), data.get("role", "other")),
        description="six hexadecimal digits, such as 00FF00",
    )

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,39}", name) is None:
            raise ValueError(f"must be a letter and then letters, digits and _ (at most 40), got {name!r}")
        return name

    @field_validator("color")
    @classmethod
    def _hexadecimal(cls, color: str) -> str:
        if re.fullmatch(r"#?[0-9A-Fa-f]{6}", color) is None:
            raise ValueError(f"must be six hexadecimal digits such as 00FF00, got {color!r}")
        return color.removeprefix("#").upper()


class Files(Declared):
    """How uploaded files give their places on the plate: by the format of an instrument or a pattern of their names."""

    format: str | None = Field(None, description="a format of an instrument, such as harmony")
    pattern: str | None = Field(None, max_length=500, description="a regular expression with groups such as well, site")

    @field_validator("format")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None and name not in FORMATS:
            raise ValueError(f"{name!r} is no format; {did_you_mean(name, FORMATS)}")
        return name

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.format is None) == (self.pattern is None):
            raise ValueError("must have either format, such as harmony, or pattern, a regular expression")
        return self

    @property
    def reader(self) -> Format:
        """What reads a folder of such files."""
        return FORMATS[self.format] if self.format else PatternFormat(self.pattern or "")


class Analysis(Declared):
    """What is computed from stored values; changing it costs no pixel."""

    wells: Annotated[tuple[Statistic, ...], BeforeValidator(one_or_many)] = Field(
        ("median",), description="what wells hold of their cells: a list of median, mean, mad, count"
    )
    statistics: Texts = Field((), description="features for which plate statistics (Z', doses) are computed")
    limits: tuple[Limit, ...] = Field((), description="limits of image metrics; one that none names has the defaults")
    outliers: tuple[Outlier, ...] = Field(
        (), description="how far from what is typical values may lie; a metric that none names has the defaults"
    )
    suspicions: SuspicionLimits = Field(
        SuspicionLimits.model_validate({}), description="thresholds of the checks on the plate as a whole"
    )

    def as_json(self) -> dict[str, Any]:
        """All it says, JSON-able; without thresholds of suspicions where they are the defaults."""
        is_default = self.suspicions == SuspicionLimits.model_validate({})
        return self.model_dump(mode="json", exclude={"suspicions"} if is_default else None)


class Experiment(Declared):
    """All that experiment.yaml declares; made by ``read_experiment``."""

    name: str = Field(description="the experiment's name, as its folder")
    channels: tuple[Channel, ...] = Field(description="the list of channels")
    layout: Layout = Field(description="wells, sites and pixel size")
    files: Files = Field(description="format of the instrument, or pattern of the file names")
    plate_maps: tuple[PlateMapSource, ...] = Field((), description="files that say what is in the wells")
    recipe: Recipe = Field(Recipe.model_validate({}), description="how objects are found")
    illumination: DeclaredIllumination = Field(NO_CORRECTION, description="where the field of illumination comes from")
    analysis: Analysis = Field(Analysis.model_validate({}), description="statistics and limits")
    placement: Placement | None = Field(None, description="where images may be processed; left out, anywhere")
    uploads: Uploads | None = Field(None, description="what uploads may ask for; left out, nothing")
    patience_s: Annotated[float, BeforeValidator(_seconds)] = Field(
        1800.0,
        validation_alias=AliasChoices("patience", "patience_s"),
        description="how long to wait for missing images, such as 30 min",
    )
    images: Literal["zarr", "none"] = Field("zarr", description="zarr keeps the pixels as OME-Zarr, none does not")
    plates: Texts = Field((), description="names of the plates, where they are known beforehand")
    barcode: str | None = Field(
        None, max_length=500, description="a regular expression with the group barcode; left out, the folder's name"
    )
    current_acquisition: Literal["newest-complete", "first", "by-hand"] | None = Field(
        None,
        description="which acquisition of a barcode is shown: newest-complete, first or by-hand; left out, "
        "newest-complete with a warning",
    )

    @field_validator("barcode")
    @classmethod
    def _finds_barcodes(cls, barcode: str | None) -> str | None:
        if barcode and "barcode" not in compile_pattern(barcode).groupindex:
            raise ValueError(f"must have a group barcode, such as '^(?P<barcode>[^_]+)__', got {barcode!r}")
        return barcode

    @field_validator("name")
    @classmethod
    def _named(cls, name: str) -> str:
        return _checked("experiment", name)

    @field_validator("plates")
    @classmethod
    def _plates_named(cls, plates: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_checked("plate", plate) for plate in plates)

    @cached_property
    def _sites(self) -> tuple[tuple[str, int], ...]:
        return tuple((str(well), site) for well in self.layout.imaged_wells for site in self.layout.site_numbers)

    def expected_sites(self) -> tuple[tuple[str, int], ...]:
        """Well name and number (``imaging.time_points``) of every site of a plate that the layout expects, in order."""
        return self._sites

    def barcode_of(self, plate: str) -> str:
        """Barcode of the physical plate that an acquisition shows; its folder's name where the pattern finds none."""
        match = re.search(self.barcode, plate) if self.barcode else None
        return (match["barcode"] if match else None) or plate

    @property
    def nucleus_channel(self) -> Channel | None:
        """The channel that nuclei are found in: the recipe's, or the one with this role."""
        return self._channel(self.recipe.nuclei.channel if self.recipe.nuclei else None, "nucleus")

    @property
    def cell_channel(self) -> Channel | None:
        """The channel that cells are grown in: the recipe's, or the one with this role."""
        return self._channel(self.recipe.cells.channel if self.recipe.cells else None, "cell")

    def _channel(self, name: str | None, role: str) -> Channel | None:
        chosen = (channel for channel in self.channels if (channel.name == name if name else channel.role == role))
        return next(chosen, None)

    @property
    def rules(self) -> Rules:
        """Rules of verdicts: declared ones, and the defaults of what they do not name."""
        nucleus = self.nucleus_channel
        return collect_rules(self.analysis.limits, self.analysis.outliers, nucleus=nucleus.name if nucleus else None)

    def pixel_part(self) -> dict[str, Any]:
        """All that values measured in pixels depend on, JSON-able; its hash is part of the recipe's id.

        The channels of ``recipe.nuclei`` and ``recipe.cells`` are written out where the file leaves them to the roles.
        File patterns, channel codes and colors are left out: the first two decide which file is which image, and a
        site's inputs hold that already.
        """
        recipe = self.recipe.as_json()
        for part, channel in (("nuclei", self.nucleus_channel), ("cells", self.cell_channel)):
            if recipe[part] is not None:
                recipe[part]["channel"] = channel.name if channel else None
        illumination = self.illumination.pixel_part()
        return {
            "numbers_version": NUMBERS_VERSION,
            "channels": [channel.model_dump(include={"name", "role", "full_scale"}) for channel in self.channels],
            "pixel_size_um": self.layout.pixel_size_um,
            "recipe": recipe,
            **({"illumination": illumination} if illumination else {}),
        }

    def analysis_part(self) -> dict[str, Any]:
        """All that a publication computes from stored values depends on, JSON-able, plate maps aside."""
        return self.analysis.as_json() | self.rules.as_json() | self.illumination.analysis_part()

    @property
    def recipe_id(self) -> str:
        """Name of the recipe and the first digits of what it stands for, e.g. ``v1-3fa9c2d4``."""
        return f"{self.recipe.name}-{hash_of(self.pixel_part())[:8]}"


def read_experiment(data: bytes, *, place: str = "experiment.yaml") -> Experiment:
    """Read and check an experiment's declaration.

    Parameters
    ----------
    data
        The YAML file.
    place
        Its name in messages.

    Raises
    ------
    ConfigurationError
        With every fault of the file in ``problems``, each beginning with its place.
    """
    document = read_plain_yaml(data)
    problems = list(document.problems)
    if document.tree is None and not problems:
        problems.append("the file is empty; `platestream init FOLDER` writes one from a folder of images")
    elif document.tree is not None and not isinstance(document.tree, dict):
        problems.append("the file must be a mapping of names to values, beginning with `name: ...`")
    elif document.tree is not None:
        faults = find_contradictions(document.tree)
        try:
            experiment = Experiment.model_validate(document.tree)
            if not faults and not problems:
                return experiment
        except ValidationError as error:
            faults += explain_faults(error, Experiment)
        problems += spell_faults(faults, document.lines)
    count = f"{len(problems)} fault{'s' if len(problems) != 1 else ''}"
    raise ConfigurationError(f"{place} has {count}", tuple(problems))


def default_color(name: str, role: str) -> str:
    """Color a channel is shown in when none is declared: by the stain's name, else by its role."""
    return _STAIN_COLORS.get(name.lower(), _ROLE_COLORS.get(role, "FFFFFF"))


def _checked(kind: str, name: str) -> str:
    try:
        return check_name(kind, name)
    except RefusedNameError as error:
        raise ValueError(error.message) from None
