"""A simulated microscope: uploads a real plate as a real one does, out of order and with accidents."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Accidents:
    """What goes wrong while a plate is uploaded; names of files of the plate.

    ``repeated`` come twice under the same name, ``copied`` come again in a folder ``again/``, ``truncated`` comes cut
    short and whole only with ``Microscope.send_replacement``, ``late`` comes only with ``Microscope.send_late``.
    """

    repeated: tuple[str, ...]
    copied: tuple[str, ...]
    truncated: str
    late: str


def plan_accidents(names: list[str], seed: int) -> Accidents:
    """Choose five different files for the accidents of an upload; needs at least five names."""
    chosen = random.Random(seed).sample(sorted(names), 5)
    return Accidents((chosen[0], chosen[1]), (chosen[2],), chosen[3], chosen[4])


@dataclass
class Microscope:
    """Uploads the images of a folder into another over some seconds, in shuffled order.

    Parameters
    ----------
    images
        Folder of the plate's images.
    raw
        Folder they are uploaded to.
    duration_s
        Seconds that the upload takes.
    seed
        Decides the order.
    accidents
        What goes wrong meanwhile.
    """

    images: Path
    raw: Path
    duration_s: float
    seed: int
    accidents: Accidents
    uploaded: int = 0
    _thread: threading.Thread | None = field(default=None, repr=False)
    _stop: threading.Event = field(default_factory=threading.Event, repr=False)

    def start(self) -> None:
        """Start uploading in a thread."""
        self._thread = threading.Thread(target=self._upload_all, name="microscope", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop uploading."""
        self._stop.set()
        if self._thread:
            self._thread.join()

    def send_late(self) -> None:
        """Upload the image that was held back."""
        self._send(self.accidents.late)

    def send_replacement(self) -> None:
        """Upload the truncated image again, whole: somebody saw the fault."""
        self._send(self.accidents.truncated)

    def _upload_all(self) -> None:
        order = [path.name for path in self.images.iterdir() if path.name != self.accidents.late]
        order += self.accidents.repeated
        copies = {f"again/{name}": name for name in self.accidents.copied}
        order += copies
        random.Random(self.seed).shuffle(order)
        # an accident needs what it is an accident of: copies come last
        order.sort(key=lambda name: name in copies)
        started = time.monotonic()
        for number, name in enumerate(order):
            if self._stop.wait(max(0.0, started + self.duration_s * number / len(order) - time.monotonic())):
                return
            self._send(copies.get(name, name), to=name, is_cut=name == self.accidents.truncated)

    def _send(self, name: str, *, to: str | None = None, is_cut: bool = False) -> None:
        data = (self.images / name).read_bytes()
        target = self.raw / (to or name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data[: len(data) * 6 // 10] if is_cut else data)
        self.uploaded += 1
