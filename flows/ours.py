"""Whether flows, imaging and kernels come from one and the same installation.

Their names are short, and others use them too: a distribution called ``kernels`` exists. One that is installed beside
ours hides or overwrites it, and the first sign would be an odd AttributeError in a worker.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
"""The folder that holds our packages."""

_OF_OURS = {"flows": "ours.py", "imaging": "wells.py", "kernels": "image_quality.py"}
"""A file of each package by which it is known."""


def find_strangers(locate: Callable[[str], Path | None] | None = None, *, home: Path = HOME) -> list[str]:
    """Say of each package that is not ours what is wrong and what to do; empty when all is well.

    Parameters
    ----------
    locate
        Gives the folder that a package would be imported from, ``None`` if there is none.
    home
        The folder that must hold all packages.
    """
    sentences = (_stranger(name, file, (locate or locate_package)(name), home) for name, file in _OF_OURS.items())
    return [sentence for sentence in sentences if sentence]


def _stranger(name: str, file: str, found: Path | None, home: Path) -> str | None:
    if found is None:
        return f"the package {name!r} is missing in {home}; install platestream again"
    if found.parent != home:
        return (
            f"the package {name!r} would come from {found.parent}, and Platestream's lies in {home}: another "
            f"distribution of that name hides it; `pip uninstall {name}`, then install platestream again"
        )
    if not (found / file).is_file() or _is_installed_in(name, home):
        return (
            f"the package {name!r} in {home} was overwritten by another distribution of that name; "
            f"`pip uninstall {name}`, then install platestream again"
        )
    return None


def locate_package(name: str) -> Path | None:
    """Folder that a package would be imported from; nothing is imported."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))).resolve()


def _is_installed_in(name: str, home: Path) -> bool:
    """Whether a distribution of the package's name was installed into the folder that holds ours."""
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return Path(str(found.locate_file(""))).resolve() == home
