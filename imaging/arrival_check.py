"""Files that are no images are found when they arrive, and not when the last channel of their site does.

What is looked at is a few kilobytes of each file of a site that still waits for others, once per version. Sites that
are ready are read anyway.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

from imaging.arrivals import ImageFile
from imaging.errors import ChangedObjectError, ForbiddenFileError, StoreUnavailableError
from imaging.faults import record_fault
from imaging.folders import StoredFolder
from imaging.formats.contents_check import find_content_fault
from imaging.job import PlateJob
from imaging.plane_files import FORBIDDEN
from imaging.planning import Plan

BATCH = 256
"""Files that are looked at in one go."""
_READERS = 8


class Suspect(NamedTuple):
    """A file of a waiting site that nobody looked at."""

    well: str
    site: int
    channel: str
    file: ImageFile


@dataclass
class ArrivalCheck:
    """Looks at a plate's arriving files, each version once.

    Parameters
    ----------
    job
        The plate.
    """

    job: PlateJob
    _seen: set[tuple[str, ...]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._folder = StoredFolder(self.job.raw, self.job.raw_folder)

    def choose(self, plan: Plan) -> list[Suspect]:
        """Files of waiting sites that were not looked at yet, at most ``BATCH`` of them."""
        chosen: list[Suspect] = []
        for suspect in self._waiting(plan):
            if suspect.file.version not in self._seen:
                chosen.append(suspect)
                if len(chosen) == BATCH:
                    break
        return chosen

    def check(self, suspects: list[Suspect]) -> int:
        """Look at files, record those that are no images, and return how many these are.

        A file that cannot be reached, or is another by now, is looked at again.
        """
        with ThreadPoolExecutor(_READERS) as pool:
            return sum(pool.map(self._check, suspects))

    def _waiting(self, plan: Plan) -> Iterator[Suspect]:
        faulted = {file.version for *_, file in plan.faulted}
        for site in plan.of("waiting"):
            for channel, files in self.job.arrivals.images.get((site.well, site.site), {}).items():
                for file in files:
                    if file.version not in faulted:
                        yield Suspect(site.well, site.site, channel, file)

    def _check(self, suspect: Suspect) -> bool:
        file = suspect.file
        try:
            reason = find_content_fault(self._folder, file.name, file.token, file.size_bytes, file.inside)
        except ForbiddenFileError:
            reason = FORBIDDEN
        except (ChangedObjectError, FileNotFoundError, StoreUnavailableError):
            return False
        self._seen.add(file.version)
        if reason is None:
            return False
        job = self.job
        place = {"experiment": job.experiment.name, "plate": job.plate, "recipe": job.recipe}
        place |= {"well": suspect.well, "site": suspect.site, "channel": suspect.channel}
        return record_fault(job.store, job.prefix, place, file, reason)
