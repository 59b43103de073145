from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.cli_upload import parse_duration
from flows.settings import child_environment
from imaging.errors import ConfigurationError
from tests.parts import ROOT
from tests.standins.gcs import GcsStandIn


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "P0001"
    (folder / "Images").mkdir(parents=True)
    for number in range(5):
        (folder / "Images" / f"{number}.tif").write_bytes(b"")
        os.utime(folder / "Images" / f"{number}.tif", (1e9, 1e9))
    return folder


def test_a_folder_goes_to_raw_under_its_own_name(folder: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["upload", str(folder), str(tmp_path / "store")])
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "store" / "raw" / "P0001" / "P0001" / "Images").iterdir())) == 5
    assert "5 files (0 B) are in the store with equal sums: 5 sent, 0 were there" in result.stderr
    assert "incomplete: Images/0.tif: the image is empty" in result.stderr
    assert len(list((tmp_path / "state" / "platestream" / "uploads").iterdir())) == 1


def test_the_summary_is_json_on_request(folder: Path, gcs: GcsStandIn) -> None:
    command = ["upload", str(folder), gcs.address("lab"), "--experiment", "screen", "--plate", "P1", "--json"]
    result = CliRunner().invoke(app, command)
    summary = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (summary["experiment"], summary["plate"], summary["sent"]) == ("screen", "P1", 5)
    assert (summary["sums_equal"], summary["is_complete"], summary["refused"]) == (5, True, [])
    assert sum("raw/screen/P1/" in name for name in gcs.objects("lab")) == 5


def test_a_file_that_is_refused_is_exit_status_1(folder: Path, tmp_path: Path) -> None:
    (folder / "link").symlink_to("Images")
    result = CliRunner().invoke(app, ["upload", str(folder), str(tmp_path / "store"), "--json"])
    assert result.exit_code == 1
    summary = json.loads(result.stdout)
    assert summary["refused"] == [{"name": "link", "reason": "links are not followed; put the file itself there"}]
    assert summary["files"] == 5


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["absent", "store"], "there is no folder absent"),
        (["{folder}", "{store}", "--plate", "a/b"], "the plate name 'a/b' is refused"),
        (["{folder}", "{store}", "--follow", "--until-idle", "soon"], "a duration is written as"),
        (["{folder}", "{folder}/store"], "lies in the folder"),
        (["{folder}", "s3://bucket"], "a store must be a folder"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(folder: Path, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    places = {"folder": str(folder), "store": str(tmp_path / "store")}
    result = CliRunner().invoke(app, ["upload", *(argument.format(**places) for argument in arguments)])
    assert isinstance(result.exception, ConfigurationError)
    assert sentence in str(result.exception)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30 min", 1800), ("30", 1800), ("90 s", 90), ("1.5h", 5400), ("2 hours", 7200)]
)
def test_durations_are_written_as_people_do(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert parse_duration("never") is None


def test_a_service_that_is_ended_stops_in_order(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flows.cli", "upload", str(folder), str(tmp_path / "store"), "--follow", "--json"]
    environment = child_environment({"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path / "state")})
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        while not list((tmp_path / "store").rglob("4.tif")):
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=60)[0]
    assert json.loads(output)["is_complete"]
    assert process.returncode == 0


def test_the_microscopes_computer_loads_nothing_that_it_does_not_need(folder: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from flows import cli\n"
        "try: cli.app(sys.argv[1:])\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "print([name for name in ('prefect', 'dask', 'numpy', 'duckdb', 'google.cloud') if name in sys.modules])"
    )
    command = [sys.executable, "-c", program, "upload", str(folder), str(tmp_path / "store")]
    environment = child_environment({"PYTHONPATH": str(ROOT)})
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
