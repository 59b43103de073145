"""Where one measurement of a plate lies in a folder that may hold several."""

from __future__ import annotations

from collections.abc import Iterable


class Measurements:
    """The folders of a delivery's measurements; the empty text is the delivery's own folder.

    Parameters
    ----------
    roots
        Folders that an instrument's layout or manifests mark as a measurement, without ``/`` at their ends.
    """

    def __init__(self, roots: Iterable[str]) -> None:
        self.roots = tuple(sorted(set(roots))) or ("",)
        self._of: dict[str, str] = {root: root for root in self.roots}

    def of(self, folder: str) -> str:
        """The nearest measurement at or above a folder; without one the only measurement, else the folder of all."""
        found = self._of.get(folder)
        if found is None:
            found = self.of(folder.rpartition("/")[0]) if folder else self._elsewhere()
            self._of[folder] = found
        return found

    def acquisition(self, root: str) -> str:
        """What tells a measurement apart: its folder, or nothing where there is one alone."""
        return root if len(self.roots) > 1 else ""

    def _elsewhere(self) -> str:
        return self.roots[0] if len(self.roots) == 1 else ""


def folder_of(name: str) -> str:
    """Folder of a path, without ``/`` at its end."""
    return name.rpartition("/")[0]
