"""The folder as an upload sees it: what is in it now, or since when it cannot be read."""

from __future__ import annotations

import time
from pathlib import Path

from imaging.upload.destinations import Destination
from imaging.upload.source import Refusal, Scan, scan


class WatchedFolder:
    """A folder that is looked at again and again; its drive may go away and come back.

    Parameters
    ----------
    folder
        The folder.
    destination
        Says which paths it cannot have.
    patience_s
        Seconds after which a folder that cannot be read is a fault; ``None`` for never.

    Attributes
    ----------
    away_since
        Since when the folder cannot be read, on the monotonic clock; ``None`` while it can.
    reason
        What the system says of it.
    refused
        Names that are not taken, at the last look.
    """

    def __init__(self, folder: Path, destination: Destination, *, patience_s: float | None) -> None:
        self.folder, self.destination, self.patience_s = folder, destination, patience_s
        self.away_since: float | None = None
        self.reason = ""
        self.refused: list[Refusal] = []

    def look(self) -> Scan | None:
        """List the folder; nothing while it cannot be read, for then nothing is known of what is in it.

        Raises
        ------
        OSError
            If it could not be read for longer than the patience.
        """
        now = time.monotonic()
        try:
            found = scan(self.folder)
        except OSError as error:
            self.away_since = now if self.away_since is None else self.away_since
            self.reason = error.strerror or str(error)
            if self.patience_s is not None and now - self.away_since >= self.patience_s:
                raise
            return None
        self.away_since = None
        self.refused = found.refused + self._refuse_paths(found)
        return found

    def _refuse_paths(self, found: Scan) -> list[Refusal]:
        """Take the files out that the destination cannot have, and say why."""
        reasons = {file.path: reason for file in found.files if (reason := self.destination.refuses(file.path))}
        if reasons:
            found.files = [file for file in found.files if file.path not in reasons]
        return [Refusal(path, reason) for path, reason in reasons.items()]
