"""`platestream upload`: from the microscope's computer into the store, while the microscope writes."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imaging.upload.summary import Progress

LINE_S, SCREEN_S = 10.0, 0.5
"""Seconds between two lines of progress, and between two of a terminal's, which overwrite each other."""
_IDLE = "30 min"
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|sec|seconds?|m|min|minutes?|h|hours?)?\s*")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def upload(
    folder: Path = typer.Argument(help="Folder of one acquisition, as the microscope writes it."),
    store: str = typer.Argument(help="Root of the store: a folder, or gs://bucket/prefix."),
    experiment: str = typer.Option("", help="Name of the experiment.", show_default="name of the folder around it"),
    plate: str = typer.Option("", help="Name of the plate.", show_default="the folder's name"),
    follow: bool = typer.Option(False, "--follow", help="Wait for more files while the microscope writes."),
    until_idle: str = typer.Option(
        _IDLE, help="With --follow: end once nothing came for so long, such as '90 s', '30 min', '2 h' or 'never'."
    ),
    end_marker: str = typer.Option(
        "", metavar="NAME", help="With --follow: end once this file is in the folder and all is sent."
    ),
    settle: float | None = typer.Option(
        None, min=0.0, help="Seconds that a file must rest.", show_default="3, or 15 on a network drive"
    ),
    verify: bool = typer.Option(
        False, "--verify", help="Compare the content of every file again, also of those found equal before."
    ),
    transfers: int = typer.Option(8, min=1, max=64, help="Files sent at the same time."),
    as_json: bool = typer.Option(False, "--json", help="Print the summary as JSON."),
) -> None:
    """Copy an acquisition into the store: checked, resumed after any break, nothing ever deleted.

    Exit status 0 only if all that is in the folder is in the store with equal sums.
    """
    from imaging.errors import ConfigurationError
    from imaging.names import check_name, raw_prefix
    from imaging.upload.destinations import open_destination
    from imaging.upload.journal import Journal
    from imaging.upload.options import Options
    from imaging.upload.source import is_network_drive
    from imaging.upload.uploader import Uploader

    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder {folder}; give the folder that the microscope writes")
    if not follow and (end_marker or until_idle != _IDLE):
        raise ConfigurationError("--until-idle and --end-marker say when --follow ends; give --follow too")
    place = folder.resolve()
    experiment = experiment or place.parent.name
    if not experiment:
        raise ConfigurationError(f"no folder around {folder} can name the experiment; give --experiment NAME")
    prefix = raw_prefix(check_name("experiment", experiment), check_name("plate", plate or place.name))
    options = Options(
        settle_s=settle if settle is not None else 15.0 if is_network_drive(folder) else 3.0,
        follow=follow,
        until_idle_s=parse_duration(until_idle),
        end_marker=Path(end_marker).as_posix() if end_marker else "",
        transfers=transfers,
    )
    state = _prepare(store)
    journals = None if verify else state  # it says what was compared before
    destination = open_destination(store, prefix)
    with _stop_on_signals() as stop, Journal(journals, folder, f"{destination.store.url} {prefix}") as journal:
        _say(f"from {folder} to {store}, {prefix}")
        lines = Lines()
        summary = Uploader(folder, destination, journal, options, report=lines).run(stop)
        lines.end()
    if as_json:
        typer.echo(json.dumps(summary.as_dict(), indent=2))
    else:
        for line in summary.sentences():
            _say(line)
    raise typer.Exit(0 if summary.is_complete else 1)


COMMANDS = (upload,)


def parse_duration(text: str) -> float | None:
    """Seconds of a duration such as ``30 min``; a number alone is minutes, ``never`` is ``None``.

    Raises
    ------
    ConfigurationError
        If it is none.
    """
    from imaging.errors import ConfigurationError

    if text.strip() == "never":
        return None
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ConfigurationError(f"a duration is written as '90 s', '30 min', '2 h' or 'never', got {text!r}")
    return float(found[1]) * _SECONDS[(found[2] or "m")[0]]


class Lines:
    """Prints progress on stderr: on a terminal one line that changes, else a line every ten seconds."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._next = time.monotonic() + (0.0 if self._is_terminal else LINE_S)
        self._length = 0

    def __call__(self, progress: Progress) -> None:
        """Print the progress if it is time."""
        now = time.monotonic()
        if now < self._next:
            return
        line = progress.sentence()
        if self._is_terminal:
            self._next = now + SCREEN_S
            typer.echo("\r" + line.ljust(self._length), err=True, nl=False)
            self._length = len(line)
        else:
            self._next = now + LINE_S
            typer.echo(f"{time.strftime('%H:%M:%S')} {line}", err=True)

    def end(self) -> None:
        """Leave the line that changes."""
        if self._is_terminal:
            typer.echo("", err=True)


def _prepare(store: str) -> Path:
    """Find out who we are to the store, and return the folder of journals."""
    from flows.google import find_identity, use_storage
    from flows.settings import Settings

    settings = Settings()
    use_storage(settings)
    if store.startswith("gs://") and "endpoint=" not in store:
        find_identity(settings, settings.storage_emulator)  # without credentials, the store would seem not to answer
    return settings.state_folder / "uploads"


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C and the end of a service set; a second Ctrl-C ends the process."""
    stop = threading.Event()

    def end(number: int, frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    names = ("SIGINT", "SIGTERM", "SIGBREAK")  # the last is Windows'
    before = {number: signal.signal(number, end) for name in names if (number := getattr(signal, name, None))}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(line: str) -> None:
    typer.echo(line, err=True)
