"""`platestream demo`: a real plate, uploaded out of order and with accidents, from nothing to its answer.

Everything runs on this machine in a folder of its own: Prefect server, Dask cluster, runner and watcher as services
under a supervisor, and a simulated microscope. The demo itself only looks at the store, as anybody could.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import typer
from rich.console import Console
from rich.live import Live

from flows.demo_report import Outcome, judge, print_outcome, progress_view
from flows.google import open_data_store
from flows.microscope import Microscope, plan_accidents
from flows.settings import Settings
from flows.stack import local_services
from flows.supervise import Supervisor, find_free_ports, interrupt_on_termination
from flows.web.service import web_address
from imaging.errors import ConfigurationError, MissingPartError, PlateError
from imaging.job import PlateJob, open_job
from imaging.planning import Plan
from imaging.projection import page_address
from imaging.publication import plate_state
from imaging.records import projected_key

EXPERIMENT, PLATE = "bbbc013", "BBBC013"
UPLOAD_S = 20.0
PATIENCE = "20 s"
STALLED_S = 240.0
"""Seconds without any progress after which the demo gives up; a slow or busy machine may take as long as it needs."""
SEED = 13
MARK = ".platestream-demo"
IMAGES = Path(__file__).resolve().parents[1] / "tests" / "data" / "bbbc013"


@dataclass
class Demo:
    """One run of the demo: where it lies, its services' settings, and when what happened."""

    folder: Path
    settings: Settings
    microscope: Microscope
    started: float = field(default_factory=time.time)
    moments: dict[str, float] = field(default_factory=dict)
    sent_late: bool = False
    sent_replacement: bool = False

    @property
    def job(self) -> PlateJob:
        """The plate."""
        return open_job(open_data_store(self.settings), EXPERIMENT, PLATE, settle_s=self.settings.settle_s)

    def note(self, moment: str) -> None:
        """Remember when something happened first, in seconds from the start."""
        self.moments.setdefault(moment, time.time() - self.started)


def run_demo(folder: str | Path | None = None, *, keep: bool = False, seed: int = SEED) -> Outcome:
    """Run the demo to its end and print what came out.

    Parameters
    ----------
    folder
        Where its data and services lie; emptied if an earlier demo left it. Default ``platestream-demo``.
    keep
        Leave everything running afterwards, until Ctrl-C.
    seed
        Decides the order of the upload and its accidents.

    Raises
    ------
    MissingPartError
        If the plate's images are not there (they come with the repository) or a service does not start.
    PlateError
        If nothing happens to the plate any longer before its end.
    """
    console = Console()
    demo = prepare(Path(folder or "platestream-demo").absolute(), seed=seed)
    services = local_services(demo.settings, demo.folder / "logs")
    with interrupt_on_termination(), Supervisor(services) as supervisor:
        console.print(f"starting Prefect server, Dask cluster, runner and watcher in {demo.folder}")
        ready = supervisor.wait_until_ready()
        demo.note("services ready")
        console.print("ready after " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in ready.items()))
        console.print(f"Prefect UI  {demo.settings.api_url.removesuffix('/api')}  (while the demo runs)")
        console.print(f"all plates  {web_address(demo.settings)}  (likewise)")
        console.print(f"plate page  {page_address(demo.job)}  (in half a minute; it shows each site)", soft_wrap=True)
        demo.microscope.start()
        try:
            follow(demo, console)
        finally:
            demo.microscope.stop()
        outcome = judge(demo.job, demo.microscope, demo.moments, supervisor.restarts)
        print_outcome(console, outcome, demo.settings)
        if keep:
            console.print(f"\nleft running; Prefect UI at {demo.settings.api_url.removesuffix('/api')}; Ctrl-C ends it")
            _wait_for_interrupt()
    return outcome


def prepare(folder: Path, *, seed: int = SEED) -> Demo:
    """Make the demo's folder with its experiment, choose free ports, load the microscope."""
    if not (IMAGES / "images").is_dir():
        raise MissingPartError(
            "the demo's plate comes with the repository, not with the package: clone it", key=str(IMAGES)
        )
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise ConfigurationError("the folder holds something else; give an empty or a new one", key=str(folder))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).touch()
    declared = folder / "data" / "experiments" / EXPERIMENT
    shutil.copytree(IMAGES / "platemaps", declared / "platemaps")
    text = (IMAGES / "experiment.yaml").read_text()
    (declared / "experiment.yaml").write_text(text.replace("patience: 30 min", f"patience: {PATIENCE}"))
    server, scheduler, web = find_free_ports(3)
    settings = Settings(
        store=str(folder / "data"),
        api_url=f"http://127.0.0.1:{server}/api",
        scheduler=f"tcp://127.0.0.1:{scheduler}",
        web_port=web,
        state_folder=folder / "state",
        linger_s=25.0,
        heartbeat_s=5.0,
        heartbeat_stale_s=15.0,
        settle_s=2.0,
        rescan_s=1.0,
    )
    names = [path.name for path in (IMAGES / "images").iterdir()]
    raw = folder / "data" / "raw" / EXPERIMENT / PLATE
    return Demo(folder, settings, Microscope(IMAGES / "images", raw, UPLOAD_S, seed, plan_accidents(names, seed)))


def follow(demo: Demo, console: Console) -> None:
    """Show the plate's way until its last publication has its page.

    A person plays along: sends the truncated image again when its fault is shown, and the late one after the first
    publication.

    Raises
    ------
    PlateError
        If nothing happens any longer before that.
    """
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for plan in looks(demo):
            live.update(progress_view(plan, demo.microscope, demo.moments), refresh=True)
            if not console.is_terminal:
                _print_line(plan, demo.microscope)
            if not demo.sent_replacement and plan.records.faults:
                demo.note("fault found")
                demo.microscope.send_replacement()
                demo.sent_replacement = True
            if not demo.sent_late and plan.records.last_publication:
                demo.note("first publication")
                demo.microscope.send_late()
                demo.sent_late = True
            if is_over(demo, plan):
                demo.note("last publication")
                return
    raise PlateError(
        f"nothing happened to the plate for {STALLED_S:g} s before its end; see {demo.folder / 'logs'}",
        experiment=EXPERIMENT,
        plate=PLATE,
    )


def looks(demo: Demo) -> Iterator[Plan]:
    """Look at the plate every second until nothing has happened to it for long."""
    seen, moved = None, time.monotonic()
    while time.monotonic() - moved < STALLED_S:
        plan = demo.job.survey()
        now = plan.images_arrived, len(plan.of("done")), len(plan.records.faults), plan.records.last_publication
        if now != seen:
            seen, moved = now, time.monotonic()
        if plan.images_arrived:
            demo.note("first image")
        if plan.of("done"):
            demo.note("first site")
        yield plan
        time.sleep(1.0)


def is_over(demo: Demo, plan: Plan) -> bool:
    """Whether every image has come and the newest publication holds them all, with its page."""
    last = plan.records.last_publication
    if not demo.sent_late or last < 2 or len(plan.of("done")) < len(plan.sites):
        return False
    job = demo.job
    return job.store.exists(projected_key(job.prefix, last, plate_state(job, plan)))


def _print_line(plan: Plan, microscope: Microscope) -> None:
    typer.echo(
        f"uploaded {microscope.uploaded}, arrived {plan.images_arrived}, sites done {len(plan.of('done'))}, "
        f"faults {len(plan.records.faults)}, publications {plan.records.last_publication}",
        err=True,
    )


def _wait_for_interrupt() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return
