"""YAML without surprises: mappings, lists and text, each with its line.

Scalars stay the text that stands in the file (``no``, ``01`` and ``1e3`` are not turned into something else); the
declared type of a field decides what a text means. Anchors, aliases, tags and further documents are not read, so a
small file cannot become a large tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from imaging.sentences import shorten

Place = tuple[str | int, ...]
"""Where a value stands in a tree: keys and list positions from the root."""

MAX_BYTES = 262_144
MAX_DEPTH = 12


@dataclass
class PlainYaml:
    """A YAML document as dicts, lists, texts and ``None``, the line of each place, and what was wrong with it."""

    tree: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_plain_yaml(data: bytes) -> PlainYaml:
    """Read one YAML document; faults are collected in ``problems``, never raised.

    Parameters
    ----------
    data
        UTF-8 text, at most ``MAX_BYTES`` long and ``MAX_DEPTH`` deep; a byte order mark is skipped.
    """
    document = PlainYaml()
    if len(data) > MAX_BYTES:
        document.problems.append(f"the file has {len(data)} bytes, at most {MAX_BYTES} are read; is it the right file?")
        return document
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        document.problems.append(f"line {line}: byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8")
        return document
    try:
        _Reader(document, yaml.parse(text, Loader=yaml.SafeLoader)).read()
    except yaml.MarkedYAMLError as error:
        document.problems.append(_syntax_fault(error))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        document.problems.append(f"line {line}: a control character (code {error.character}) is no YAML; delete it")
    except (ValueError, OverflowError) as error:
        document.problems.append(f"a value cannot be read: {error}")
    except _TooDeepError as error:
        document.problems.append(f"line {error}: nested more than {MAX_DEPTH} deep; is it the right file?")
    document.problems[:] = [shorten(problem) for problem in document.problems]
    return document


def spell_place(place: Place) -> str:
    """Write a place as users read it: ``("channels", 1, "role")`` is ``channels[1].role``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return text.removeprefix(".")


class _TooDeepError(Exception):
    """Carries the line where the nesting passed the limit."""


class _Reader:
    """Builds the tree from the parser's events, one recursion per level up to ``MAX_DEPTH``."""

    def __init__(self, document: PlainYaml, events: Iterator[yaml.Event]) -> None:
        self.document, self.events = document, events

    def read(self) -> None:
        next(self.events)
        event = next(self.events)
        if isinstance(event, yaml.StreamEndEvent):
            return
        self.document.tree = self._value(next(self.events), ())
        next(self.events)
        after = next(self.events)
        if isinstance(after, yaml.DocumentStartEvent):
            line = after.start_mark.line + 1
            self.document.problems.append(f"line {line}: a second document begins; keep one document in the file")

    def _value(self, event: Any, place: Place) -> Any:
        line = event.start_mark.line + 1
        self.document.lines.setdefault(place, line)
        if len(place) > MAX_DEPTH:
            raise _TooDeepError(line)
        if isinstance(event, yaml.AliasEvent):
            self._refuse(place, "is an alias (*name), which is not read here; write the value itself", line)
            return None
        if event.anchor is not None:
            self._refuse(place, "has an anchor (&name), which is not read here; write the value itself", line)
        if event.tag is not None:
            self._refuse(place, f"has the tag {event.tag!r}, which is not read here; delete the tag", line)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(place)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(place)
        return _scalar(event)

    def _list(self, place: Place) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            values.append(self._value(event, (*place, len(values))))
        return values

    def _mapping(self, place: Place) -> dict[str, Any]:
        values: dict[str, Any] = {}
        first_lines: dict[str, int] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            key = self._value(event, (*place, "a key"))
            if isinstance(key, dict | list):
                self._refuse(place, "has a key that is a list or a mapping; write name: value", line)
                key = ""
            key = key or ""
            inner = (*place, key)
            value = self._value(next(self.events), inner)
            if key in values:
                self._refuse(inner, f"is given twice, first on line {first_lines[key]}; keep one", line)
                continue
            self.document.lines[inner] = line
            values[key], first_lines[key] = value, line
        return values

    def _refuse(self, place: Place, sentence: str, line: int) -> None:
        self.document.problems.append(f"{spell_place(place) or 'the file'}: {sentence} (line {line})")


def _scalar(event: Any) -> str | None:
    is_plain = event.style is None
    return None if is_plain and event.value in ("", "~", "null", "Null", "NULL") else event.value


def _syntax_fault(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = error.problem or error.context or "it does not follow YAML's rules"
    return f"{place}the YAML cannot be read: {problem}; {_advice(problem)}"


def _advice(problem: str) -> str:
    if "\\t" in problem:
        return "indent with spaces, not with tabs"
    if "escape character" in problem:
        return "put regular expressions in single quotes"
    if "mapping values" in problem:
        return "put a text that holds ': ' in quotes, and check the indentation of the line before"
    return "check the indentation, the quotes and the brackets up to here"
