"""Where an experiment's plate maps are, as experiment.yaml declares it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator, model_validator

from imaging.declared import Declared, Texts, one_or_many


class Columns(Declared):
    """Names of a file's columns; those left out are found by their usual names."""

    well: str | None = Field(None, description="column with wells such as B03")
    row: str | None = Field(None, description="column with rows, as letters or numbers")
    column: str | None = Field(None, description="column with column numbers")
    treatment: str | None = Field(None, description="column with the name of what was added")
    concentration: str | None = Field(None, description="column with concentrations")
    unit: str | None = Field(None, description="column with units of the concentrations")
    control: str | None = Field(None, description="column that tells controls from treatments")
    barcode: str | None = Field(None, description="column with the plate, where a file holds for several")
    map: str | None = Field(None, description="column of a barcode file with the names of plate maps")


class Controls(Declared):
    """Which values of the control column mean what; ``*`` stands for any text, ``''`` for an empty cell."""

    negcon: Texts = Field((), description="values of negative controls")
    poscon: Texts = Field((), description="values of positive controls")
    empty: Texts = Field((), description="values of wells without cells")
    trt: Texts = Field((), description="values of treated wells")


class Join(Declared):
    """A table that says more of each treatment; a text alone is its file."""

    file: str = Field(description="path of a table beside experiment.yaml, such as platemaps/compounds.tsv")
    by: str | None = Field(None, description="column that both have; left out, that of the treatment")
    sheet: str | None = Field(None, description="sheet of a workbook; left out, the first")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        return {"file": data} if isinstance(data, str) else data

    @field_validator("file")
    @classmethod
    def _beside(cls, file: str) -> str:
        return check_path(file)


class PlateMapSource(Declared):
    """A plate map and the plates it holds for, or barcode files and the folder of the maps that they name."""

    file: str | None = Field(None, description="path of a plate map beside experiment.yaml, such as platemaps/a.csv")
    in_plate: str | None = Field(None, description="plate map in each plate's own folder, such as Assaylayout/*.xml")
    barcodes: Texts = Field((), description="path of a table of barcodes and maps, or a list of them")
    folder: str | None = Field(None, description="folder of the maps; left out, platemap/ beside the barcode file")
    batches: Texts = Field((), description="batches of the barcode file that count; left out, all")
    plates: Texts = Field(("*",), description="plates it holds for; * stands for any text")
    sheet: str | None = Field(None, description="sheet of a workbook; left out, the first")
    grid: str | None = Field(None, description="what a map laid out as the plate holds, such as treatment")
    columns: Columns = Field(Columns.model_validate({}), description="names of the file's columns")
    concentration_unit: str | None = Field(None, description="unit of all concentrations, such as uM, or index")
    controls: Controls = Field(Controls.model_validate({}), description="which values of the control column mean what")
    blank_treatment: str | None = Field(None, description="treatment of wells with an empty cell, such as DMSO")
    join: Annotated[tuple[Join, ...], BeforeValidator(lambda value: _each(value))] = Field(
        (), description="tables joined to the map by its treatments, such as platemaps/compounds.tsv"
    )
    annotations: Texts | None = Field(None, description="columns kept in well_annotations; left out, all")

    @field_validator("file", "folder", "in_plate")
    @classmethod
    def _path_beside(cls, path: str | None) -> str | None:
        return path if path is None else check_path(path.removesuffix("/"))

    @field_validator("barcodes")
    @classmethod
    def _paths_beside(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_path(path) for path in paths)

    @model_validator(mode="after")
    def _has_one_way(self) -> PlateMapSource:
        if sum((self.file is not None, self.in_plate is not None, bool(self.barcodes))) != 1:
            raise ValueError(
                "needs one of file (a plate map), barcodes (a table that names each plate's map) and in_plate (a map "
                "in each plate's folder)"
            )
        if not self.barcodes and (self.folder is not None or self.batches):
            raise ValueError("has folder or batches, which belong to barcodes; leave them out")
        return self

    def holds_for(self, plate: str) -> bool:
        """Whether it may say something of this plate."""
        return any(fnmatchcase(plate, pattern) for pattern in self.plates)


def check_path(path: str) -> str:
    """Return a path that leads to a file beside experiment.yaml or below; ``ValueError`` for any other."""
    if "\\" in path or not path.isprintable() or any(part.strip(" .") == "" for part in path.split("/")):
        raise ValueError(f"must be a path beside experiment.yaml, such as platemaps/a.csv, got {path!r}")
    return path


def _each(value: Any) -> Any:
    """A list of joins, of one where it is a text or a mapping."""
    return [value] if isinstance(value, dict) else one_or_many(value)
