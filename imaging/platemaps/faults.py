"""Faults and warnings about plate maps, each with its file and lines; the same sentence on several lines is one."""

from __future__ import annotations

from dataclasses import dataclass, field

from imaging.sentences import shorten

MAX_SHOWN = 200
"""Sentences that are shown: a table of 200,000 lines may be wrong in each."""
_SHOWN_LINES = 5
_Lines = dict[tuple[str, str], dict[int, None]]
"""Lines by file and sentence, in the order in which they came, each once."""


@dataclass
class Faults:
    """What is wrong with several files, and what is only suspicious; its length counts what is wrong."""

    _wrong: _Lines = field(default_factory=dict)
    _suspicious: _Lines = field(default_factory=dict)

    def add(self, file: str, line: int, sentence: str) -> None:
        """Note a fault; line 0 means the file as a whole."""
        _note(self._wrong, file, line, sentence)

    def warn(self, file: str, line: int, sentence: str) -> None:
        """Note what is suspicious; line 0 means the file as a whole."""
        _note(self._suspicious, file, line, sentence)

    def __len__(self) -> int:
        return len(self._wrong)

    def sentences(self) -> tuple[str, ...]:
        """Every fault with its file and lines."""
        return tuple(f"{file}{text}" for file, text in _spell(self._wrong))

    def warnings(self) -> tuple[tuple[str, str], ...]:
        """Every warning: its file, and the sentence with its lines as it follows the file's name."""
        return tuple(_spell(self._suspicious))


def _note(noted: _Lines, file: str, line: int, sentence: str) -> None:
    noted.setdefault((file, shorten(sentence)), {})[line] = None


def _spell(noted: _Lines) -> list[tuple[str, str]]:
    shown = [(file, f"{_spell_lines(list(noted[file, words]))}: {words}") for file, words in list(noted)[:MAX_SHOWN]]
    if len(noted) > MAX_SHOWN:
        shown.append((shown[-1][0], f": {len(noted) - MAX_SHOWN} more like these are left out; correct those first"))
    return shown


def _spell_lines(lines: list[int]) -> str:
    if lines == [0]:
        return ""
    shown = ", ".join(map(str, lines[:_SHOWN_LINES]))
    more = f" and {len(lines) - _SHOWN_LINES} more" if len(lines) > _SHOWN_LINES else ""
    return f" line{'s' if len(lines) > 1 else ''} {shown}{more}"
