"""A command line run in the tests' process, and functions put in the place of those that commands call."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from flows import cli

Call = tuple[tuple[Any, ...], dict[str, Any]]


class Outcome(NamedTuple):
    """Exit status and what was printed."""

    status: int
    out: str
    err: str


def command_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], folder: Path
) -> Callable[..., Outcome]:
    """A function that runs a command line in a folder, on a wide terminal."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["platestream", *map(str, arguments)])
        status: Any = 0
        try:
            cli.main()
        except SystemExit as end:
            status = end.code or 0
        printed = capfd.readouterr()
        return Outcome(status, printed.out, printed.err)

    return run


def replacer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Call]]:
    """A function that puts a module in the place of a real one; its functions note how they were called."""
    noted: list[Call] = []

    def replace(module: str, function: str, answer: Any = None) -> list[Call]:
        def note(*values: Any, **named: Any) -> Any:
            noted.append((values, named))
            if isinstance(answer, Exception):
                raise answer
            return answer

        before = sys.modules.get(module)
        known = vars(before) if isinstance(before, SimpleNamespace) else {}
        monkeypatch.setitem(sys.modules, module, SimpleNamespace(**{**known, function: note}))
        return noted

    return replace
