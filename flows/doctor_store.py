"""The doctor's checks of this machine: versions, the store, clocks against it, disks."""

from __future__ import annotations

import importlib.metadata
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from flows.declared import ROOT
from flows.doctor import Finding
from flows.google import open_data_store
from flows.ours import find_strangers
from flows.settings import Settings
from flows.watchdogs.alerts import disk_percent, room_words
from flows.watchdogs.gather import look_at_disks, store_folder
from imaging.cost_words import time_words
from imaging.errors import PlateError
from imaging.recipes import NUMBERS_VERSION
from imaging.store import Store

LOCKS = ("requirements.lock", "requirements-run.lock")
"""What is installed: everything, or what services need."""
CLOCK_S = 5.0
"""Seconds by which two clocks may differ: heartbeats and files that are still being written are told by their age."""
FOLDER = "alerts/doctor-"
MOST_NAMED = 5
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def check_installation(settings: Settings, *, root: Path = ROOT) -> Iterator[Finding]:
    """Check that the packages are ours and of the versions that were tested together."""
    from flows import __version__

    about = "installation"
    strangers = find_strangers()
    for sentence in strangers:
        what, _, to_do = sentence.partition("; ")
        yield Finding(about, "wrong", what, to_do)
    locks = [found for name in LOCKS if (found := root / name).is_file()]
    if not locks:
        yield Finding(about, "note", f"platestream {__version__}, and no lock to compare other versions with")
        return
    pins = dict(_PIN.findall(locks[0].read_text()))
    different = list(_differences(pins))
    if different:
        shown = ", ".join(different[:MOST_NAMED])
        more = f" and {len(different) - MOST_NAMED} more" if len(different) > MOST_NAMED else ""
        what = (
            f"{len(different)} of {len(pins)} packages are of other versions than {locks[0].name} says: {shown}{more}"
        )
        yield Finding(about, "wrong", what, "install from the lock: `make venv`, or build the container image anew")
    elif not strangers:
        what = f"platestream {__version__}, numbers version {NUMBERS_VERSION}, as {locks[0].name} says"
        yield Finding(about, "fine", what)


def _differences(pins: dict[str, str]) -> Iterator[str]:
    """``numpy 2.1 instead of 2.3``; a package that is not here is one of another machine's."""
    for name, wanted in sorted(pins.items()):
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if found != wanted:
            yield f"{name} {found} instead of {wanted}"


def check_store(settings: Settings) -> Iterator[Finding]:
    """Check that objects can be created, once only, listed, read and deleted, and the clock against the store's."""
    about = "store"
    folder = store_folder(settings)
    if folder is not None and not folder.is_dir():
        yield Finding(about, "wrong", f"there is no folder {folder}", "give its folder by --store or PLATESTREAM_STORE")
        return
    key = f"{FOLDER}{uuid.uuid4().hex}"
    try:
        store = open_data_store(settings)
        experiments = len(store.list_folders("raw"))
        yield from _check_object(store, key, settings.store)
        yield Finding(about, "note" if not experiments else "fine", f"raw/ holds images of {_experiments(experiments)}")
    except (PlateError, OSError) as error:
        yield Finding(about, "wrong", f"{settings.store} cannot be used: {_plain(error)}", "see its rights and address")


def _check_object(store: Store, key: str, url: str) -> Iterator[Finding]:
    about = "store"
    before = time.time()
    is_first = store.create(key, b"doctor")
    try:
        is_second = store.create(key, b"another doctor")
        after, written = time.time(), store.modified(key)
        is_listed = key in {item.key for item in store.list(key.rpartition("/")[0]).objects}
        is_same = store.read(key) == b"doctor"
    finally:
        store.delete(key)
    if not is_first or is_second or not is_same:
        yield Finding(
            about,
            "wrong",
            f"{url} does not create an object only where there is none, which all records rest on",
            "put the store on a local disk, NFS version 4 or Google Cloud Storage",
        )
    elif not is_listed or store.exists(key):
        yield Finding(
            about, "wrong", f"{url} does not list what was just written, or keeps what was deleted", "as above"
        )
    else:
        yield Finding(about, "fine", f"{url} can be listed, read, written and deleted from")
    if written is not None:
        off_s = max(before - written, written - after, 0.0)
        yield clock_finding("store", off_s)


def clock_finding(of: str, off_s: float) -> Finding:
    """What there is to say of a clock that is so many seconds off ours."""
    if off_s > CLOCK_S:
        what = f"the clock of this machine and that of the {of} are {time_words(off_s)} apart"
        return Finding("clocks", "wrong", what, "let both follow a time server (`timedatectl set-ntp true`)")
    return Finding("clocks", "fine", f"that of the {of} agrees with ours")


def check_disks(settings: Settings) -> Iterator[Finding]:
    """Check that there is room on each disk that is written to."""
    for disk in look_at_disks(settings):
        left = f"{room_words(disk)} are free for {disk.what} ({disk.folder})"
        is_little = disk_percent(disk) < settings.alert_disk_percent
        yield Finding("disk", "wrong" if is_little else "fine", left, "make room or move it" if is_little else "")


def _experiments(number: int) -> str:
    return f"{number or 'no'} experiment{'' if number == 1 else 's'}"


def _plain(error: BaseException) -> str:
    """An error on one line; of the system's own the words."""
    return " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())
