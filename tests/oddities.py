"""What odd uploads do to a worker: each file in a process of its own, with the time and memory that it took.

    python -m tests.oddities [--seconds 1] [FOLDER ...]

reads every file of the folders (without any: the developers' tiff_oddities and instrument_oddities) and the files of
``tests.odd_files``, prints a table, and exits 1 if a file took more than a second of the CPU or 500 MB, or ended its
process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imaging.errors import PlateError
from imaging.folders import StoredFolder
from imaging.formats.archives import open_archives, read_through_archives
from imaging.formats.cellomics import CELLOMICS
from imaging.formats.cellvoyager import CELLVOYAGER
from imaging.formats.contents_check import find_content_fault
from imaging.formats.contract import Address, FoundPlane
from imaging.formats.inside import read_plane
from imaging.formats.ome_tiff import OME_TIFF
from imaging.formats.ome_zarr import OME_ZARR
from imaging.store import Store, StoredObject, open_store
from imaging.wells import Well
from tests.odd_files import MADE
from tests.parts import find_part

LIMIT_S = 1.0
LIMIT_MB = 500
_PATIENCE_S = 20.0
_NOWHERE = Address(Well(0, 1), 1)


@dataclass(frozen=True)
class Outcome:
    """What reading a file gave: ``ending`` is ``read``, ``quarantined`` or ``lost`` (the process ended)."""

    name: str
    ending: str
    words: str
    seconds: float
    megabytes: float

    def is_fine(self, seconds: float) -> bool:
        """Whether the worker is still there and the limits are kept."""
        return self.ending != "lost" and self.seconds <= seconds and self.megabytes <= LIMIT_MB


def read_file(store: Store, item: StoredObject) -> tuple[str, str]:
    """Take a file through all that a worker and a planner do with one: how it ends, and in which words."""
    folder = StoredFolder(store, "")
    arrived = find_content_fault(folder, item.key, item.token, item.size)
    try:
        plane, *_ = read_plane(store, item.key, token=item.token)
        if arrived is not None:
            return "lost", f"a false alarm at arrival: {arrived}"
        return "read", f"{plane.shape[1]} x {plane.shape[0]} {plane.dtype}"
    except PlateError as error:
        words = error.message
    found = [read_through_archives(form, [item], folder) for form in (OME_TIFF, OME_ZARR, CELLVOYAGER, CELLOMICS)]
    planes = next((delivery.planes for delivery in found if delivery.planes), ())
    if planes:
        return _read_inside(store, planes)
    opened = open_archives([item], folder)
    if opened.places:
        members = [item for item in opened.objects if item.key in opened.places]
        named = [FoundPlane(member, _NOWHERE, str(opened.places[member.key])) for member in members]
        ending, words = _read_inside(store, named)
        return ending, "; ".join(dict.fromkeys([words, *(p.reason for p in opened.passed_over if p.kind == "unknown")]))
    passed = [passed.reason for passed in opened.passed_over if passed.kind == "unknown"]
    problems = [problem.partition(": ")[2] for delivery in found for problem in delivery.told.problems]
    return "quarantined", "; ".join(dict.fromkeys([*problems, *passed])) or words


def _read_inside(store: Store, planes: Sequence[FoundPlane]) -> tuple[str, str]:
    """Read each plane inside a file: how many were read, and what is wrong with the others."""
    read, faults = 0, []
    for plane in planes[:20]:
        try:
            read_plane(store, plane.item.key, token=plane.item.token, inside=plane.inside, size=plane.item.size)
            read += 1
        except PlateError as error:
            faults.append(error.message)
    words = f"{read} of {len(planes)} planes inside{'; ' if faults else ''}{'; '.join(dict.fromkeys(faults))}"
    return ("read" if read else "quarantined"), words


def measure(folder: Path) -> Iterator[Outcome]:
    """Read every file of a folder, each in a child process; a file name that the store refuses is quarantined."""
    listing = open_store(str(folder)).list("")
    for refused in listing.refused:
        yield Outcome(refused.shown, "quarantined", refused.reason, 0.0, 0.0)
    for item in listing.objects:
        yield _in_child(folder, item)


def _in_child(folder: Path, item: StoredObject) -> Outcome:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        started = time.process_time()
        ending, words = read_file(open_store(str(folder)), item)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        os.write(writer, json.dumps([ending, words[:400], time.process_time() - started, peak]).encode())
        os._exit(0)
    os.close(writer)
    started = time.monotonic()
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() - started > _PATIENCE_S:
            os.kill(child, 9)
            os.waitpid(child, 0)
            break
        time.sleep(0.002)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read()
    if not said:
        return Outcome(item.key, "lost", "the process ended or was stopped", time.monotonic() - started, 0.0)
    return Outcome(item.key, *json.loads(said))


def main(folders: Sequence[str], seconds: float = LIMIT_S) -> int:
    """Print the table; 1 if a limit was passed."""
    shared = find_part("shared")
    names = list(folders) or [f"{shared}/data/{name}" for name in ("tiff_oddities", "instrument_oddities") if shared]
    with tempfile.TemporaryDirectory() as made:
        for name, make in MADE.items():
            Path(made, name).write_bytes(make())
        outcomes = [outcome for folder in (*names, made) for outcome in measure(Path(folder))]
    for one in outcomes:
        mark = "" if one.is_fine(seconds) else "  <-- beyond the limits"
        print(f"{one.seconds * 1000:6.0f} ms {one.megabytes:4.0f} MB  {one.ending:11} {one.name}: {one.words}{mark}")
    bad = [outcome for outcome in outcomes if not outcome.is_fine(seconds)]
    counts = {kind: sum(outcome.ending == kind for outcome in outcomes) for kind in ("read", "quarantined", "lost")}
    slowest, largest = (max((getattr(o, key) for o in outcomes), default=0) for key in ("seconds", "megabytes"))
    print(
        f"{len(outcomes)} files: {counts}; slowest {slowest:.3f} s, largest {largest:.0f} MB; {len(bad)} beyond limits"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Read odd uploads, each in a process of its own.")
    parser.add_argument("--seconds", type=float, default=LIMIT_S, help="of the CPU, that one file may take")
    parser.add_argument("folders", nargs="*", help="folders of files")
    chosen = parser.parse_args()
    sys.exit(main(chosen.folders, chosen.seconds))
