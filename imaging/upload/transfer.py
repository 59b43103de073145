"""One file's way into the store: is it there already, is it complete, send it, compare."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from imaging.store import StoredObject
from imaging.upload.destinations import Destination
from imaging.upload.journal import Noted
from imaging.upload.reading import NotReadyError, Open, Reading, open_to_read
from imaging.upload.source import SourceFile
from imaging.upload.sums import Sums


@dataclass(frozen=True, slots=True)
class Sent:
    """How a file came to be in the store, its sums and its object's token.

    ``how`` is ``sent`` (nothing was there), ``present`` (the same was there) or ``replaced`` (something else was);
    ``cut`` says why the image looks incomplete, if it does.
    """

    how: Literal["sent", "present", "replaced"]
    sums: Sums
    token: str
    cut: str = ""


@dataclass(frozen=True, slots=True)
class Transfer:
    """How files of one folder go to one destination."""

    folder: Path
    destination: Destination
    open_file: Open = open_to_read

    def run(self, file: SourceFile, there: StoredObject | None, noted: Noted | None, *, takes_cut: bool) -> Sent:
        """Bring one version of a file into the store.

        Parameters
        ----------
        file
            The version.
        there
            The object of its name, as far as it is known.
        noted
            What the journal says of this version.
        takes_cut
            Whether an image is sent although its structure has no end.

        Raises
        ------
        NotReadyError
            If the file changes, is gone, cannot be read now, or is an image without its end.
        RefusedNameError, StoredDataError, StoreUnavailableError
            As ``Destination.put``.
        """
        reading = Reading(file, self.folder, self.open_file)
        reading.check()
        if there is not None and noted is not None and there.token == noted.token and there.size == file.size:
            return Sent("present", noted.sums, there.token)
        cut = reading.find_cut()
        if cut and not takes_cut:
            raise NotReadyError(cut)
        if there is not None and self._is_same(reading, there):
            return Sent("present", reading.all_sums(), there.token, cut)
        try:
            token = self.destination.put(file.path, reading, replace=there is not None)
        except FileExistsError:  # made since the store was listed: by an earlier try, or by somebody else
            return self._put_over(reading, cut)
        return Sent("sent" if there is None else "replaced", reading.all_sums(), token, cut)

    def _put_over(self, reading: Reading, cut: str) -> Sent:
        there = self.destination.find(reading.file.path)
        if there is not None and self._is_same(reading, there):
            return Sent("present", reading.all_sums(), there.token, cut)
        token = self.destination.put(reading.file.path, reading, replace=True)
        return Sent("replaced", reading.all_sums(), token, cut)

    def _is_same(self, reading: Reading, there: StoredObject) -> bool:
        if there.size != reading.file.size:
            return False
        return self.destination.agrees(reading.file.path, there, reading.all_sums())
