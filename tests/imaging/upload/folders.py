"""What tests of uploads share: a folder of a microscope, an upload with short times, what a store holds."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from imaging.store import Store, open_store
from imaging.upload.backoff import Backoff
from imaging.upload.destinations import open_destination
from imaging.upload.journal import Journal
from imaging.upload.options import Options
from imaging.upload.reading import open_to_read
from imaging.upload.summary import Progress, Summary
from imaging.upload.uploader import Uploader
from tests.standins.gcs import GcsStandIn

PREFIX = "raw/screen/P1/"
FAST: dict[str, Any] = {"settle_s": 0.0, "rescan_s": 0.05, "transfers": 4}


def write(path: Path, data: bytes = b"pixels", *, age_s: float = 0.0) -> Path:
    """Write a file, as old as it is said."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    if age_s:
        changed = path.stat().st_mtime - age_s
        os.utime(path, (changed, changed))
    return path


def acquisition(folder: Path, images: int = 12) -> dict[str, bytes]:
    """Write images, written one second after the other, and an older manifest; returns contents by path."""
    for number in range(images):
        write(folder / "Images" / f"a{(number * 7) % images:02d}.dat", b"%d" % number * 500, age_s=100 - number)
    write(folder / "Index.xml", b"<index/>", age_s=200)
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of all files below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def held(url: str, prefix: str = PREFIX) -> dict[str, bytes]:
    """Bytes of all objects of the plate."""
    store: Store = open_store(url)
    return {item.key.removeprefix(prefix): store.read(item.key) for item in store.list(prefix).objects}


def upload(
    folder: Path,
    url: str,
    *,
    journals: Path | None = None,
    stop: threading.Event | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    open_file: Any = open_to_read,
    **options: Any,
) -> Summary:
    """Upload a folder with short times."""
    with Journal(journals, folder, url) as journal:
        uploader = Uploader(
            folder,
            open_destination(url, PREFIX),
            journal,
            Options(**{**FAST, **options}),
            report=report,
            open_file=open_file,
            backoff=Backoff(first_s=0.05, longest_s=0.2),
        )
        return uploader.run(stop)


def sent_in_order(gcs: GcsStandIn) -> list[str]:
    """Paths of the files that were sent to the stand-in, in order, each time."""
    puts = [unquote(request) for request in gcs.requests if request.startswith("PUT ")]
    return [put.partition(PREFIX)[2] for put in puts if PREFIX in put]


def meanwhile(work: Callable[[], object]) -> threading.Thread:
    """Do something beside."""
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "it did not come to this"
        time.sleep(0.01)
