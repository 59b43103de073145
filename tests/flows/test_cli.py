"""The command line as a whole: help, exit status, faults; and the commands that run something."""

from __future__ import annotations

import importlib
import inspect
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from flows import cli
from imaging.errors import (
    ChangedObjectError,
    ConfigurationError,
    MissingPartError,
    PlateError,
    RefusedNameError,
    StoredDataError,
    StoreUnavailableError,
    UnreadableImageError,
)
from imaging.recipes import NUMBERS_VERSION
from tests.flows.command_line import command_line, replacer
from tests.imaging.small_plate import make_job
from tests.parts import ROOT

BBBC013 = ROOT / "tests" / "data" / "bbbc013"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path):
    return command_line(monkeypatch, capfd, tmp_path)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch):
    return replacer(monkeypatch)


# The whole


def test_help_names_every_command_and_loads_no_orchestrator() -> None:
    code = (
        "import sys\nfrom flows.cli import app\n"
        "try: app(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'prefect', 'dask', 'pydantic', 'numpy', 'pyarrow'} & set(sys.modules)))\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('imaging', 'kernels')))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-2:] == ["[]", "['imaging', 'imaging.sentences']"]
    commands = ["init", "check", "process", "watch", "serve", "cluster", "deploy", "demo", "status", "sql", "validate"]
    commands += ["measure"]
    assert [name for name in commands if f" {name} " not in found.stdout] == []


def test_every_command_explains_itself(run) -> None:
    for command in (command for module, _ in cli.PANELS for command in module.COMMANDS):
        outcome = run(command.__name__.replace("_", "-"), "--help")
        assert outcome.status == 0
        assert command.__doc__.splitlines()[0].split(";")[0][:40] in outcome.out


def test_the_version_says_which_numbers_it_gives(run) -> None:
    from flows import __version__

    assert run("--version") == (0, f"platestream {__version__}, numbers version {NUMBERS_VERSION}\n", "")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigurationError("x"), 2),
        (RefusedNameError("x"), 2),
        (MissingPartError("x"), 3),
        (PlateError("x"), 1),
        (StoredDataError("x"), 1),
        (UnreadableImageError("x"), 1),
        (StoreUnavailableError("x"), 1),
        (ChangedObjectError("x"), 1),
    ],
)
def test_the_exit_status_says_whose_fault_it_is(error: PlateError, status: int) -> None:
    assert cli.exit_status(error) == status


def test_a_fault_is_a_sentence_on_stderr_without_a_traceback(run) -> None:
    outcome = run("check", "nothing.yaml")
    assert outcome == (
        2,
        "",
        "error: nothing.yaml cannot be read (No such file or directory); "
        "`platestream init FOLDER` writes a first one\n",
    )


@pytest.mark.parametrize("how", ["option", "environment"])
def test_tracebacks_are_shown_on_demand(how: str, run, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "environment":
        monkeypatch.setenv("PLATESTREAM_DEBUG", "1")
    outcome = run(*(["--debug"] if how == "option" else []), "check", "nothing.yaml")
    assert "Traceback" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("error: nothing.yaml")
    assert outcome.status == 2


def test_a_fault_of_the_operating_system_is_a_sentence_too(run, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    outcome = run("init", BBBC013 / "images", "--out", "taken", "--force")
    assert outcome == (1, "", "error: taken: Is a directory\n")


def test_a_fault_of_the_operating_system_keeps_its_traceback_on_demand_or_without_a_file(run, calls) -> None:
    with pytest.raises(IsADirectoryError):
        run("--debug", "init", BBBC013 / "images", "--out", ".", "--force")
    calls("flows.watch", "watch", OSError(5, "I/O error"))
    with pytest.raises(OSError, match="I/O error"):
        run("watch")


# process, watch, serve, cluster, deploy, demo


class Plan(NamedTuple):
    sites: tuple[str, ...] = ("a", "b")
    images_arrived: int = 3
    images_expected: int = 4
    unknown: tuple[Any, ...] = (SimpleNamespace(name="x.txt", reason="no image"),)
    asked: None = None

    def of(self, state: str) -> tuple[Any, ...]:
        return (SimpleNamespace(well="A01", site=1),) if state in ("done", "failed") else ()


PROCESSED = SimpleNamespace(
    job=SimpleNamespace(experiment=SimpleNamespace(name="e"), plate="p"),
    plan=Plan(),
    publication=SimpleNamespace(status="with-missing"),
    page="results/e/p/page/index.html",
    verdict="fail",
    reasons=("DNA in A01 site 1: all pixels are saturated",),
)


@pytest.fixture
def processing(calls):
    calls("flows.process_folder", "process_folder", PROCESSED)
    return calls("flows.process_folder", "process_stored", PROCESSED)


def test_process_takes_a_folder_and_a_file(run, processing, tmp_path: Path) -> None:
    outcome = run("process", "images", "--experiment", "e.yaml", "--store", "s", "--workers", 2)
    (values, named), *_ = processing
    assert values == (Path("images"), Path("e.yaml"))
    assert named["plate"] == "images"
    assert (named["settings"].store, named["settings"].workers) == (str(tmp_path / "s"), 2)
    assert outcome.out.splitlines() == [
        "e/p is published (with-missing): 1 of 2 sites, 3 of 4 images",
        "1 site could not be processed: A01 site 1",
        "1 file left out, such as x.txt: no image",
        "verdict: fail",
        "  - DNA in A01 site 1: all pixels are saturated",
        "page: results/e/p/page/index.html",
    ]


def test_process_says_at_the_start_where_the_page_is(
    run, processing, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run("process", "images", "--experiment", "e.yaml", "--store", "s")
    (_, named), *_ = processing
    named["on_start"](make_job(tmp_path))
    address = (tmp_path / "store" / "results" / "screen" / "P1").as_uri()
    said = capfd.readouterr().err
    assert said.startswith(f"page, from the first site on: {address}/v1-")
    assert said.endswith("/page/index.html\n")


def test_process_takes_a_plate_of_the_store(run, processing) -> None:
    run("process", "--experiment", "e", "--plate", "p")
    (values, named), *_ = processing
    assert values == ("e", "p")
    assert named["settings"].store.endswith("platestream-data")


def test_process_shows_the_page_s_path_where_it_is_a_file(run, processing, tmp_path: Path) -> None:
    page = tmp_path / "s" / PROCESSED.page
    page.parent.mkdir(parents=True)
    page.touch()
    assert f"page: {page}\n" in run("process", "images", "--experiment", "e.yaml", "--store", "s").out


def test_a_terminal_sees_how_many_sites_ended(
    run, calls, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    states = ("done", "todo", "failed")
    plan: Any = SimpleNamespace(sites=[SimpleNamespace(state=state) for state in states])
    cli.cli_run.show_progress(plan)
    assert capfd.readouterr().err == "\r2 of 3 sites"


def test_process_without_a_plate_is_bad_input(run, processing) -> None:
    outcome = run("process", "--experiment", "e")
    assert (outcome.status, processing) == (2, [])
    assert "which plate?" in outcome.err


def test_a_missing_part_has_its_own_exit_status(run, calls) -> None:
    calls("flows.process_folder", "process_folder")
    calls("flows.process_folder", "process_stored", MissingPartError("no scheduler answers; start one"))
    assert run("process", "--experiment", "e", "--plate", "p") == (3, "", "error: no scheduler answers; start one\n")


SERVICES = [
    ("watch", "flows.watch", "watch"),
    ("serve", "flows.stack", "serve"),
    ("cluster", "flows.cluster", "run_cluster"),
]


@pytest.mark.parametrize(("command", "module", "function"), SERVICES[:2])
def test_services_get_the_settings(command: str, module: str, function: str, run, calls, tmp_path: Path) -> None:
    noted = calls(module, function)
    assert run(command, "--store", "s").status == 0
    assert noted[0][0][0].store == str(tmp_path / "s")


@pytest.mark.parametrize(("command", "module", "function"), SERVICES)
def test_services_say_on_the_terminal_what_they_do(
    command: str, module: str, function: str, run, calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls(module, function)
    levels: list[int] = []
    monkeypatch.setattr(logging, "basicConfig", lambda **options: levels.append(options["level"]))
    run(command)
    assert levels == [logging.INFO]
    assert logging.getLogger("httpx").level == logging.WARNING


def test_the_cluster_gets_port_workers_and_device(run, calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATESTREAM_SCHEDULER", "tcp://127.0.0.1:9999")
    noted = calls("flows.cluster", "run_cluster")
    run("cluster", "--workers", 3, "--device", "cuda")
    ((settings,), _) = noted[0]
    assert (settings.workers, settings.scheduler, settings.device) == (3, "tcp://127.0.0.1:9999", "cuda")


def test_certificates_are_made_and_told(run, tmp_path: Path) -> None:
    outcome = run("certificates", tmp_path / "tls", "--days", 3)
    assert outcome.status == 0
    assert f"PLATESTREAM_TLS_CERT={tmp_path}/tls/client.pem" in outcome.out
    assert "keep it away from the machines" in outcome.out
    assert run("certificates", tmp_path / "tls").status == 2


def test_a_wrong_setting_is_bad_input(run, calls) -> None:
    calls("flows.cluster", "run_cluster")
    outcome = run("cluster", "--device", "tpu")
    assert outcome.status == 2
    assert "tpu" in outcome.err


def test_deploy_says_what_it_did(run, calls) -> None:
    noted = calls("flows.deploy", "deploy", ["work pool lab: created", "deployment plate: unchanged"])
    assert run("deploy", "lab").out == "work pool lab: created\ndeployment plate: unchanged\n"
    run("deploy")
    assert noted == [(("lab",), {}), (("local",), {})]


@pytest.mark.parametrize("is_right", [True, False])
def test_the_demo_fails_when_something_came_out_wrong(is_right: bool, run, calls) -> None:
    noted = calls("flows.demo", "run_demo", SimpleNamespace(is_right=is_right))
    assert run("demo", "--folder", "d", "--keep").status == (0 if is_right else 1)
    run("demo")
    assert noted == [(("d",), {"keep": True}), (("platestream-demo",), {"keep": False})]


REAL = [
    (
        "flows.process_folder",
        "process_folder",
        (Path("i"), Path("e")),
        {"plate": "p", "settings": None, "on_start": print, "on_look": print},
    ),
    ("flows.process_folder", "process_stored", ("e", "p"), {"settings": None, "on_start": print, "on_look": print}),
    ("flows.watch", "watch", (None,), {}),
    ("flows.stack", "serve", (None,), {}),
    ("flows.cluster", "run_cluster", (None,), {}),
    ("flows.clusters.certificates", "make_certificates", (Path("f"),), {"days": 1}),
    ("flows.deploy", "deploy", ("local",), {}),
    ("flows.demo", "run_demo", ("d",), {"keep": False}),
    ("flows.status", "read_status", (None, None), {}),
    ("imaging.query", "run_query", (None, "SELECT 1"), {"dialect": "bigquery"}),
    ("imaging.zarr_check", "check_plate", (None, "key", []), {}),
]


@pytest.mark.parametrize(("module", "function", "values", "named"), REAL, ids=[function for _, function, *_ in REAL])
def test_commands_call_functions_as_these_are_declared(
    module: str, function: str, values: tuple[Any, ...], named: dict[str, Any]
) -> None:
    inspect.signature(getattr(importlib.import_module(module), function)).bind(*values, **named)
