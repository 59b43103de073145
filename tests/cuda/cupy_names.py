"""Names that code takes from CuPy: those that CuPy lacks fail on a GPU only, unless somebody looks."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
from collections.abc import Iterator
from typing import Any

ROOTS = {"cupy": "cupy", "cp": "cupy", "xp": "cupy", "_cupy": "cupy", "cupyx": "cupyx"}
"""What CuPy is called in code, as a variable or as an attribute of ``self``."""


def find_unknown_names(source: str) -> list[str]:
    """Say which attributes and keywords of CuPy in a Python source do not exist, with their lines."""
    tree = ast.parse(source)
    faults = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (names := _dotted(node)) and _resolve(names) is None:
            faults[node.lineno, ".".join(names)] = f"line {node.lineno}: {'.'.join(names)} is not in CuPy"
        if isinstance(node, ast.Call):
            for name, keyword in _unknown_keywords(node):
                faults[node.lineno, keyword] = f"line {node.lineno}: {name} has no argument {keyword}"
    longest_last = sorted(faults, key=lambda place: (place[0], len(place[1])))
    return [faults[place] for n, place in enumerate(longest_last) if not _is_said(place, longest_last[:n])]


def _is_said(place: tuple[int, str], before: list[tuple[int, str]]) -> bool:
    """Whether a part of the name is reported already: of ``cupy.no.thing``, ``cupy.no``."""
    return any(line == place[0] and place[1].startswith(f"{name}.") for line, name in before)


def _dotted(node: ast.expr) -> tuple[str, ...]:
    """Give ``cupy.fft.rfft`` as its parts, from where CuPy is named; empty if it is not."""
    if isinstance(node, ast.Name):
        return (node.id,) if node.id in ROOTS else ()
    if not isinstance(node, ast.Attribute):
        return ()
    if node.attr in ROOTS and isinstance(node.value, ast.Name) and node.value.id == "self":
        return (node.attr,)
    parts = _dotted(node.value)
    return (*parts, node.attr) if parts else ()


def _resolve(names: tuple[str, ...]) -> Any:
    """Find what a dotted name means; a submodule counts although nobody imported it yet."""
    path = ROOTS[names[0]]
    found = importlib.import_module(path)
    for name in names[1:]:
        path = f"{path}.{name}"
        if hasattr(found, name):
            found = getattr(found, name)
        elif inspect.ismodule(found) and importlib.util.find_spec(path):
            found = importlib.import_module(path)
        else:
            return None
    return found


def _unknown_keywords(call: ast.Call) -> Iterator[tuple[str, str]]:
    names = _dotted(call.func)
    function = _resolve(names) if len(names) > 1 else None
    try:
        parameters = inspect.signature(function).parameters if callable(function) else None
    except (TypeError, ValueError):  # it is compiled and does not say
        return
    if parameters is None or any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for keyword in call.keywords:
        if keyword.arg and keyword.arg not in parameters:
            yield ".".join(names), keyword.arg
