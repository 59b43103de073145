"""A folder of a plate reader's screen: which file is which plate, what lies in the wells, what the log says.

plate list             Filename, Plate, Replicate, and Channel where there are several; any file whose header says so
plate configuration    Plate, Well, Content: ``*`` and regular expressions such as ``A0[1-2]|D02``, later lines win
annotations            Plate, Well, and what lies there: GeneID, GeneSymbol, Compound, ...
screen log             Plate, Sample, Channel, Well, Flag, Comment: wells that do not count, and why
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imaging.analyses.plate_reader.texts import Line, read_lines
from imaging.errors import ConfigurationError
from imaging.sentences import shorten
from imaging.wells import parse_well

MAX_FILES = 5000
MAX_PATTERN = 200
_CONTROLS = {
    "neg": "negcon",
    "negcon": "negcon",
    "negative": "negcon",
    "pos": "poscon",
    "poscon": "poscon",
    "positive": "poscon",
    "empty": "empty",
    "blank": "empty",
    "mock": "negcon",
    "dmso": "negcon",
    "sample": "trt",
    "trt": "trt",
}
"""What contents mean; any other, such as ``GFP``, is a treatment called so."""


@dataclass(frozen=True)
class PlateFile:
    """A file of the plate list: the plate, the replicate and the channel it holds."""

    name: str
    plate: str
    replicate: str
    channel: str
    line: int


@dataclass(frozen=True)
class Flag:
    """A line of the screen log; the replicate and channel are ``""`` where it speaks of all of them."""

    plate: str
    replicate: str
    channel: str
    well: str
    flag: str
    comment: str


@dataclass(frozen=True)
class Screen:
    """What a folder says of its plates.

    ``contents`` are plate, well (regular expressions) and content, in their order; ``annotations`` by plate and well.
    """

    files: tuple[PlateFile, ...]
    contents: tuple[tuple[str, str, str], ...] = ()
    annotations: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()

    def content_of(self, plate: str, well: str) -> str:
        """What the plate configuration says of a well; ``""`` where it says nothing."""
        found = [content for plates, wells, content in self.contents if _fits(plates, plate) and _fits(wells, well)]
        return found[-1] if found else ""


def control_of(content: str) -> str:
    """``negcon``, ``poscon``, ``empty`` or ``trt``; ``other`` wells are treated like empty ones: nobody knows them."""
    return "empty" if content.casefold() == "other" else _CONTROLS.get(content.casefold(), "trt")


def is_named_kind(content: str) -> bool:
    """Whether a content says what kind of well it is, and not what is in it."""
    return content.casefold() in {*_CONTROLS, "other", ""}


def read_screen(folder: Path) -> Screen | None:
    """Read what describes a folder; ``None`` where there is no plate list.

    Raises
    ------
    ConfigurationError
        If one of the files is at fault.
    """
    tables = {path: table for path in _candidates(folder) if (table := _described(path)) is not None}
    lists = [path for path, (header, _, _) in tables.items() if {"filename", "plate"} <= set(header)]
    if not lists:
        return None
    if len(lists) > 1:
        shown = ", ".join(path.name for path in lists)
        raise ConfigurationError(f"{folder.name} has several plate lists ({shown}); keep one of them")
    files = tuple(_files(tables[lists[0]], lists[0].name))
    contents: list[tuple[str, str, str]] = []
    annotations: dict[tuple[str, str], dict[str, str]] = {}
    flags: list[Flag] = []
    named = {item.name.casefold() for item in files}
    for path, table in tables.items():
        header = set(table[0])
        if path == lists[0] or path.name.casefold() in named:
            continue
        if {"plate", "well", "content"} <= header:
            contents += _contents(table, path.name)
        elif {"plate", "well", "flag"} <= header:
            flags += _flags(table, path.name)
        elif {"plate", "well"} <= header:
            annotations |= _annotations(table, path.name)
    return Screen(files, tuple(contents), annotations, tuple(flags))


_Table = tuple[tuple[str, ...], tuple[str, ...], list[Line]]
"""Names of the columns in lower case, as they stand, and the lines below."""


def _candidates(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if len(found) > MAX_FILES:
        raise ConfigurationError(
            f"{folder.name} has {len(found)} files, at most {MAX_FILES} are read; is it the right folder?"
        )
    return [path for path in found if path.suffix.casefold() in (".txt", ".csv", ".tsv", ".tab")]


def _described(path: Path) -> _Table | None:
    """A file as a table where its header names plates; ``Wells: 384`` and the like may stand above."""
    with path.open("rb") as stream:
        beginning = stream.read(4096).decode("latin-1").casefold()
    if "plate" not in beginning:
        return None
    lines = read_lines(path, delimiter="\t") if "\t" in beginning else read_lines(path)
    for place, (_, cells) in enumerate(lines[:10]):
        names = tuple(cell.casefold() for cell in cells)
        if "plate" in names and ("filename" in names or "well" in names):
            return names, cells, lines[place + 1 :]
    return None


def _rows(table: _Table, name: str) -> Iterator[tuple[int, dict[str, str]]]:
    names = table[0]
    for line, cells in table[2]:
        if len(cells) > len(names) and any(cells[len(names) :]):
            raise ConfigurationError(f"{name} line {line}: has {len(cells)} cells, the header has {len(names)}")
        yield line, dict(zip(names, (*cells, *([""] * len(names))), strict=False))


def _files(table: _Table, name: str) -> Iterator[PlateFile]:
    seen: dict[tuple[str, str, str], int] = {}
    for line, row in _rows(table, name):
        item = PlateFile(row["filename"], row["plate"], row.get("replicate") or "1", row.get("channel") or "1", line)
        if not item.name or not item.plate:
            raise ConfigurationError(f"{name} line {line}: needs a file name and a plate")
        place = (item.plate, item.replicate, item.channel)
        if place in seen:
            raise ConfigurationError(
                f"{name} line {line}: plate {item.plate}, replicate {item.replicate}, channel {item.channel} is in "
                f"line {seen[place]} already; keep one file of it"
            )
        seen[place] = line
        yield item
    if not seen:
        raise ConfigurationError(f"{name} names no file; give each plate a line with Filename, Plate and Replicate")


def _contents(table: _Table, name: str) -> Iterator[tuple[str, str, str]]:
    for line, row in _rows(table, name):
        for key in ("plate", "well"):
            _check_pattern(row[key], line, name)
        yield row["plate"], row["well"], row["content"]


def _check_pattern(pattern: str, line: int, name: str) -> None:
    """Refuse what is no expression of wells; only letters, digits and ``[ ] | - , . *`` are read, so none runs away."""
    simple = re.fullmatch(r"[\w\[\]|,.*?\-]+", pattern) is not None and len(pattern) <= MAX_PATTERN
    try:
        if simple and pattern.count("*") + pattern.count("?") <= 2 and pattern != "*":
            re.compile(_anchored(pattern))
        elif not simple or pattern != "*":
            raise re.error("it is no expression of plates or wells")
    except re.error as error:
        shown = shorten(repr(pattern), 60)
        raise ConfigurationError(
            f"{name} line {line}: {shown} names no plates or wells ({error}); write * or such as A0[1-2]|D02"
        ) from error


def _anchored(pattern: str) -> str:
    return rf"(?:{pattern.replace('.*', '*').replace('*', '.*')})"


def _fits(pattern: str, name: str) -> bool:
    return pattern in ("*", name) or re.fullmatch(_anchored(pattern), name, re.IGNORECASE) is not None


def _annotations(table: _Table, name: str) -> dict[tuple[str, str], dict[str, str]]:
    found: dict[tuple[str, str], dict[str, str]] = {}
    for line, row in _rows(table, name):
        well = _well(row["well"], line, name)
        said = {
            written: row[plain]
            for plain, written in zip(table[0], table[1], strict=True)
            if plain not in ("plate", "well") and row[plain] not in ("", "NA")
        }
        found[row["plate"], well] = said
    return found


def _flags(table: _Table, name: str) -> Iterator[Flag]:
    for line, row in _rows(table, name):
        replicate = row.get("sample") or row.get("replicate") or ""
        wells = [row["well"]] if row["well"] != "*" else ["*"]
        for well in wells:
            named = well if well == "*" else _well(well, line, name)
            yield Flag(row["plate"], replicate, row.get("channel", ""), named, row["flag"], row.get("comment", ""))


def _well(text: str, line: int, name: str) -> str:
    try:
        return str(parse_well(text))
    except ValueError as error:
        raise ConfigurationError(f"{name} line {line}: {error}") from error


def treatment_names(columns: Sequence[str]) -> list[str]:
    """Columns of annotations that can name the treatment, the best first."""
    ranks = ("treatment", "compound", "sirna", "genesymbol", "symbol", "gene", "geneid")
    plain = {re.sub(r"[\W_]", "", column).casefold(): column for column in columns}
    return [plain[name] for name in ranks if name in plain]
