"""Maps that lie in a plate's own folder, as instruments put them there: Harmony's ``Assaylayout/NAME.xml``."""

from __future__ import annotations

from fnmatch import fnmatchcase

from imaging.store import Store


def find_in_folder(store: Store, folder: str, path: str, *, min_age_s: float = 0.0) -> list[tuple[str, bytes]]:
    """Find the files of a plate's folder whose path fits.

    Parameters
    ----------
    store, folder
        Where the plate's folder is; its key ends in ``/``, or is empty.
    path
        Path inside the folder; its last part may have ``*``.
    min_age_s
        Age in seconds below which a local file is not there yet.

    Returns
    -------
    Paths inside the folder with the files' bytes, by path; of several nothing is read.
    """
    below, _, pattern = path.rpartition("/")
    prefix = f"{folder}{below}/" if below else folder
    keys = [
        item.key
        for item in store.list(prefix, min_age_s=min_age_s).objects
        if "/" not in item.key[len(prefix) :] and fnmatchcase(item.key[len(prefix) :], pattern)
    ]
    return [(key[len(folder) :], store.read(key) if len(keys) == 1 else b"") for key in keys]
