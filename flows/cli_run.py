"""`platestream process`, `watch`, `serve`, `web`, `cluster`, `demo`, `deploy` and `manifests`: what runs, and where."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from flows.cli_results import STORE, counted

if TYPE_CHECKING:
    from flows.process_folder import ProcessedPlate
    from flows.settings import Settings
    from imaging.job import PlateJob
    from imaging.planning import Plan, SiteState

WORKERS = typer.Option(0, min=0, max=1024, help="Worker processes.", show_default="one per CPU core")
DEVICE = typer.Option("", help="cpu or cuda.", show_default="PLATESTREAM_DEVICE or cpu")


def process(
    folder: Path | None = typer.Argument(None, help="Folder of one plate's images; left out, the plate in the store."),
    experiment: str = typer.Option(..., help="Its experiment.yaml; without FOLDER, the experiment's name."),
    plate: str = typer.Option("", help="Name of the plate.", show_default="the folder's name"),
    recipe: str = typer.Option("", help="Name of a recipe of the experiment.", show_default="the promoted one"),
    store: str = STORE,
    workers: int = WORKERS,
) -> None:
    """Process one plate on this machine and wait for it; no service is needed.

    `platestream process IMAGES --experiment experiment.yaml` takes a folder anywhere and writes into the store.

    `platestream process --experiment NAME --plate PLATE` takes a plate that lies under raw/ of the store.
    """
    from flows.process_folder import process_folder, process_stored
    from imaging.errors import ConfigurationError

    if folder is None and not plate:
        raise ConfigurationError("which plate? give the FOLDER of its images, or --plate NAME of one in the store")
    settings = _settings(store, workers)
    _say_what_takes_long()
    told: dict[str, Any] = {"recipe": recipe, "on_start": show_page, "on_look": show_progress}
    if folder is not None:
        name = plate or folder.resolve().name
        processed = process_folder(folder, Path(experiment), plate=name, settings=settings, **told)
    else:
        processed = process_stored(experiment, plate, settings=settings, **told)
    _print_processed(processed, settings)
    _process_asked(processed, settings)


def _say_what_takes_long() -> None:
    from imaging.warm_up import is_compiled

    if not is_compiled():
        typer.echo("the first plate on a machine waits a minute or two longer: kernels are compiled for its processor")


def watch(store: str = STORE) -> None:
    """Watch all plates of the store and wake a run for each that has work; runs until it is stopped."""
    from flows.watch import watch as run

    log_to_terminal()
    run(_settings(store))


def serve(store: str = STORE, workers: int = WORKERS) -> None:
    """Run everything on this machine: Prefect server, cluster, watcher, flows and web server, until it is stopped."""
    from flows.stack import serve as run

    log_to_terminal()
    run(_settings(store, workers))


def web(
    store: str = STORE,
    host: str = typer.Option("", help="Address to listen on.", show_default="PLATESTREAM_WEB_HOST or 127.0.0.1"),
    port: int = typer.Option(0, min=0, max=65535, help="Its port.", show_default="PLATESTREAM_WEB_PORT or 4280"),
) -> None:
    """Show plates, their pages and images in a browser, until it is stopped; beyond this machine it takes a token."""
    from flows.web.service import run_web

    log_to_terminal()
    run_web(_settings(store, web_host=host, web_port=port))


def cluster(
    workers: int = WORKERS,
    device: str = DEVICE,
) -> None:
    """Run the Dask cluster that measures sites, until it is stopped; PLATESTREAM_COMPUTE says which kind."""
    from flows.cluster import run_cluster

    log_to_terminal()
    run_cluster(_settings("", workers, device=device))


ENVIRONMENT = typer.Argument("", help="Name of a file in deployments/, such as gcp.", show_default="local")
ENVIRONMENT_OPTION = typer.Option("", "--env", help="The same as an option.", show_default="local")


def deploy(environment: str = ENVIRONMENT, env: str = ENVIRONMENT_OPTION) -> None:
    """Register work pool, blocks, flows and automations with the Prefect server; again changes nothing."""
    from flows.deploy import deploy as run

    for applied in run(_environment(environment, env)):
        typer.echo(str(applied))


def manifests(environment: str = ENVIRONMENT, env: str = ENVIRONMENT_OPTION) -> None:
    """Print the Kubernetes manifests of an environment of Google Cloud, for `kubectl apply -f -`."""
    from flows.manifests import render_manifests

    typer.echo(render_manifests(_environment(environment, env)), nl=False)


def demo(
    folder: str = typer.Option("platestream-demo", help="Where its data and services lie; emptied first."),
    keep: bool = typer.Option(False, "--keep", help="Leave everything running afterwards, until Ctrl-C."),
) -> None:
    """Show the pipeline at work on a real plate that is uploaded out of order and with accidents."""
    from flows.demo import run_demo

    if not run_demo(folder, keep=keep).is_right:
        raise typer.Exit(1)


def certificates(
    folder: Path = typer.Argument(..., help="Where the files are to lie; made if need be."),
    days: int = typer.Option(825, min=1, max=3650, help="For how many days they are valid."),
) -> None:
    """Make the files for TLS between Dask's scheduler, workers and clients: an authority and a certificate for each."""
    from flows.clusters.certificates import AUTHORITY, AUTHORITY_KEY, make_certificates

    end = make_certificates(folder, days=days)
    typer.echo(
        f"certificates for scheduler, worker and client, valid until {end:%Y-%m-%d}; for a run:\n"
        f"  PLATESTREAM_TLS_CA={folder / AUTHORITY}\n"
        f"  PLATESTREAM_TLS_CERT={folder / 'client.pem'}\n"
        f"  PLATESTREAM_TLS_KEY={folder / 'client-key.pem'}\n"
        f"Whoever has {AUTHORITY_KEY} can make more of them: keep it away from the machines, or delete it."
    )


COMMANDS = (process, watch, serve, web, cluster, certificates, deploy, manifests, demo)


def _environment(argument: str, option: str) -> str:
    from imaging.errors import ConfigurationError

    if argument and option and argument != option:
        raise ConfigurationError(f"which environment: {argument} or {option}? Name one")
    return argument or option or "local"


def _settings(store: str, workers: int = 0, **said: Any) -> Settings:
    """Settings of the environment, with what the command line says on top."""
    from flows.settings import Settings

    said |= {"store": store, "workers": workers}
    return Settings(**{name: value for name, value in said.items() if value})


def log_to_terminal() -> None:
    """Let a service say on stderr what it does."""
    import logging

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it names every request


def show_page(job: PlateJob) -> None:
    """Say where the page is that shows the plate from now on."""
    from imaging.projection import page_address

    typer.echo(f"page, from the first site on: {page_address(job)}", err=True)


def show_progress(plan: Plan) -> None:
    """Rewrite one line of a terminal with the number of sites that ended."""
    if sys.stderr.isatty():
        ended = sum(site.state in ("done", "failed", "missing") for site in plan.sites)
        typer.echo(f"\r{ended} of {len(plan.sites)} sites", nl=ended == len(plan.sites), err=True)


def _process_asked(processed: ProcessedPlate, settings: Settings) -> None:
    """Make the experimental results that the plate's upload asks for; where their budget ends, the plate is done."""
    if processed.plan.asked is None:
        return
    from flows.process_folder import process_asked
    from imaging.errors import SpentBudgetError

    try:
        asked = process_asked(processed, processed.plan.asked, settings, show_progress)
    except SpentBudgetError as error:
        typer.echo(f"experimental results are not complete: {error}", err=True)
        return
    typer.echo(f"experimental, as manifest.yaml asks for, under the recipe {asked.job.recipe}:")
    _print_processed(asked, settings)


def _print_processed(processed: ProcessedPlate, settings: Settings) -> None:
    plan, publication = processed.plan, processed.publication
    typer.echo(
        f"{processed.job.experiment.name}/{processed.job.plate} is published ({publication.status}): "
        f"{len(plan.of('done'))} of {len(plan.sites)} sites, {plan.images_arrived} of {plan.images_expected} images"
    )
    ended: dict[SiteState, str] = {"failed": "could not be processed", "missing": "without any image"}
    for state, meaning in ended.items():
        if sites := plan.of(state):
            shown = ", ".join(f"{site.well} site {site.site}" for site in sites[:5])
            more = f" and {len(sites) - 5} more" if len(sites) > 5 else ""
            typer.echo(f"{counted(len(sites), 'site')} {meaning}: {shown}{more}")
    if plan.unknown:
        first = plan.unknown[0]
        typer.echo(f"{counted(len(plan.unknown), 'file')} left out, such as {first.name}: {first.reason}")
    typer.echo("\n  - ".join([f"verdict: {processed.verdict}", *processed.reasons]))
    page = Path(settings.store, processed.page)
    typer.echo(f"page: {page if page.is_file() else processed.page}")
