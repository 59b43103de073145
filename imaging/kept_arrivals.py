"""Folders as they were sorted last: a plate is listed every second or two, and changes less often."""

from __future__ import annotations

import threading
from collections import OrderedDict

from imaging.arrivals import Arrivals, sort_arrivals
from imaging.experiment import Experiment
from imaging.folders import StoredFolder
from imaging.store import Listing

MOST_PLATES = 32
"""Plates that a process remembers; as many are imaged at once in a large lab."""

_lock = threading.Lock()
_kept: OrderedDict[StoredFolder, tuple[Listing, Experiment, Arrivals]] = OrderedDict()


def sort_folder(experiment: Experiment, folder: StoredFolder, listing: Listing) -> Arrivals:
    """Sort the listing of a plate's folder, unless it is the last one again."""
    with _lock:
        known = _kept.get(folder)
        if known is not None:
            _kept.move_to_end(folder)
    if known is not None and known[1] == experiment and known[0] == listing:
        return known[2]
    arrivals = sort_arrivals(experiment, folder.prefix, listing.objects, listing.refused, folder)
    with _lock:
        _kept[folder] = listing, experiment, arrivals
        _kept.move_to_end(folder)
        while len(_kept) > MOST_PLATES:
            _kept.popitem(last=False)
    return arrivals
