from __future__ import annotations

import filecmp
import json
import os
import random
import re
import signal
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.cli_upload import parse_duration
from flows.settings import child_environment
from imaging.errors import ConfigurationError, RefusedNameError
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
    assert len(list((tmp_path / "store" / "raw" / tmp_path.name / "P0001" / "Images").iterdir())) == 5
    assert "5 files (0 B) are in the store, sums compared: 5 sent, 0 were there" in result.stderr
    assert "incomplete: Images/0.tif: the image is empty" in result.stderr
    assert len(list((tmp_path / "state" / "platestream" / "uploads").iterdir())) == 1


def test_an_empty_folder_is_said_to_be_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "P1").mkdir()
    result = CliRunner().invoke(app, ["upload", str(tmp_path / "P1"), str(tmp_path / "store")])
    assert "nothing was sent: the folder holds no file" in result.stderr


def test_what_ends_following_needs_following(folder: Path, tmp_path: Path) -> None:
    for option in (("--end-marker", "finished.txt"), ("--until-idle", "5 s")):
        result = CliRunner().invoke(app, ["upload", str(folder), str(tmp_path / "store"), *option])
        assert result.exit_code != 0
        assert "give --follow too" in str(result.exception) + result.output
    assert not (tmp_path / "store").exists()


def test_a_copy_that_was_damaged_since_is_found_and_mended_on_request(folder: Path, tmp_path: Path) -> None:
    (folder / "plan.dat").write_bytes(b"as it was")
    command = ["upload", str(folder), str(tmp_path / "store"), "--json"]
    CliRunner().invoke(app, command)
    copied = tmp_path / "store" / "raw" / tmp_path.name / "P0001" / "plan.dat"
    times = copied.stat()
    copied.write_bytes(b"as it xxx")
    os.utime(copied, ns=(times.st_atime_ns, times.st_mtime_ns))
    summary = json.loads(CliRunner().invoke(app, [*command, "--verify"]).stdout)
    assert copied.read_bytes() == b"as it was"
    assert summary["replaced"] == ["plan.dat"]


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
    assert isinstance(result.exception, ConfigurationError | RefusedNameError)
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


def test_an_upload_to_a_folder_that_is_killed_goes_on_and_sends_nothing_twice(folder: Path, tmp_path: Path) -> None:
    chance, store = random.Random(3), tmp_path / "store"
    for number in range(3000):
        (folder / f"{number}.dat").write_bytes(chance.randbytes(3000))
    command = [sys.executable, "-m", "flows.cli", "upload", str(folder), str(store), "--settle", "0"]
    environment = child_environment({"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path / "state")})

    def copies() -> dict[str, int]:
        return {path.name: path.stat().st_ino for path in (store / "raw").rglob("*.dat")}

    before: dict[str, int] = {}
    for _ in range(2):
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
            while len(copies()) < len(before) + 300:
                assert process.poll() is None
            process.kill()
        before = copies()
    assert len(before) < 3000
    subprocess.run(command, env=environment, check=True, capture_output=True)
    after = copies()
    assert {name: after[name] for name in before} == before
    copied = store / "raw" / tmp_path.name / "P0001"
    assert filecmp.cmpfiles(folder, copied, [path.name for path in folder.glob("*.dat")], shallow=False)[1:] == ([], [])
    assert len(after) == 3000


def test_the_microscopes_computer_needs_only_the_packages_that_its_page_names(folder: Path, gcs: GcsStandIn) -> None:
    program = (
        "import sys; before = set(sys.modules); from flows import cli\n"
        "try: cli.app(sys.argv[1:])\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "from importlib.metadata import packages_distributions as owners\n"
        "tops = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "known = owners()\n"
        "print(*{owner for top in tops & known.keys() - {'google'} for owner in known[top]})"
    )
    page = (ROOT / "docs" / "uploading.md").read_text()
    named = re.search(r"pip install obstore (.*)", page)
    assert named
    command = [sys.executable, "-c", program, "upload", str(folder), gcs.address("lab")]
    environment = child_environment({"PYTHONPATH": str(ROOT)})
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert needed_by({"obstore", *named[1].split()}) >= set(result.stdout.split()) - {"platestream"}


def needed_by(names: set[str]) -> set[str]:
    """Distributions that pip installs for these, itself left out."""
    found: set[str] = set()
    while names:
        name = names.pop()
        found.add(name)
        asked = [
            re.split(r"[^A-Za-z0-9_.-]", asked, maxsplit=1)[0] for asked in requires(name) or () if ";" not in asked
        ]
        names |= {other.lower() for other in asked} - found
    return found | {other.replace("-", "_") for other in found}
