"""The plates of a store by their folders, and what reading one plate's files can raise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from imaging.errors import PlateError, StoreUnavailableError
from imaging.names import check_name
from imaging.store import Store

FAULTS = (PlateError, OSError, ValueError, ArithmeticError, LookupError)
"""What one plate's files and records can raise: the work on all others goes on."""


@dataclass(frozen=True, slots=True)
class PlateList:
    """Plates that have a folder, their experiments, and those of these whose plates could not be listed."""

    places: frozenset[tuple[str, str]]
    experiments: frozenset[str]
    unlisted: frozenset[str]

    def lacks(self, place: tuple[str, str]) -> bool:
        """Whether a plate's folder is gone."""
        return place not in self.places and place[0] not in self.unlisted


def list_plates(store: Store, say: Callable[[str], None], *, had_some: bool) -> PlateList:
    """List the folders of all plates.

    Parameters
    ----------
    store
        Where they are.
    say
        Called with what is wrong with a name, or with one experiment's folder.
    had_some
        Whether there were plates before: then a folder without any is one that is not mounted.

    Raises
    ------
    StoreUnavailableError
        If the store does not answer, or has lost all that it had.
    """
    experiments = frozenset(_folders(store, "raw", "experiment", say))
    if had_some and not experiments and store.local_path("raw"):
        raise StoreUnavailableError(
            f"raw/ of {store.url} had experiments and has none any more; mount the folder, or start the watcher anew "
            "if they were deleted"
        )
    found, unlisted = set[tuple[str, str]](), set[str]()
    for experiment in sorted(experiments):
        try:
            found.update((experiment, plate) for plate in _folders(store, f"raw/{experiment}", "plate", say))
        except FAULTS as error:
            unlisted.add(experiment)
            say(f"{experiment}: {error}")
    return PlateList(frozenset(found), experiments, frozenset(unlisted))


def _folders(store: Store, prefix: str, kind: str, say: Callable[[str], None]) -> Iterator[str]:
    for name in store.list_folders(prefix):
        try:
            yield check_name(kind, name)
        except PlateError as error:
            say(str(error))
