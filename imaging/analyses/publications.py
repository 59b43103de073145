"""Which publications of an experiment are analysed: those that tables show, one per plate."""

from __future__ import annotations

from imaging.errors import ConfigurationError
from imaging.export.selection import Published, Selection, select_plates
from imaging.store import Store


def select_published(store: Store, experiment: str) -> Selection:
    """The publications of an experiment that tables show, one per plate; none where nothing is published.

    Raises
    ------
    StoredDataError
        If a record is damaged.
    """
    try:
        return select_plates(store, experiment)
    except ConfigurationError:
        return Selection(())


def identify(published: Published) -> list[str]:
    """What names a publication: plate, recipe and run."""
    return [published.plate, published.recipe, published.record["run"]]
