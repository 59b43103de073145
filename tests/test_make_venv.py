"""How .venv is prepared: when nothing is done, when it is completed or begun anew, what an interruption leaves."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from tests.parts import ROOT


def load(path: Path) -> ModuleType:
    """Import a script that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script in a checkout of its own, with pip and venv only recorded in ``script.calls``."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "make_venv.py", tmp_path / ".ci")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "requirements.lock").write_text("one==1 \\\n    --hash=sha256:0\n# made by two\ntwo==2 ; marker \\\n")
    module = load(tmp_path / ".ci" / "make_venv.py")
    calls: list[str] = []

    def make_venv() -> None:
        calls.append("venv")
        module.PYTHON.parent.mkdir(parents=True)
        module.PYTHON.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/compiled\n')
        module.PYTHON.chmod(0o755)

    monkeypatch.setattr(module, "calls", calls, raising=False)
    monkeypatch.setattr(module, "make_venv", make_venv)
    monkeypatch.setattr(module, "pip", lambda what, packages, *arguments: calls.append(f"{packages} {what}"))
    return module


def test_a_first_run_says_what_it_costs_and_installs_everything(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    script.main()
    assert script.calls == ["venv", "1 packages", "1 packages", "1 Platestream itself"]
    printed = capsys.readouterr().out
    assert "MB" in printed.splitlines()[0]
    assert "compiling" in printed.splitlines()[-2]
    assert "compileall" in (script.ROOT / "compiled").read_text()
    assert "ready" in printed.splitlines()[-1]


def test_each_package_is_dealt_to_one_pip_with_its_hashes(script: ModuleType) -> None:
    script.main()
    shares = [(script.LOG.parent / f"share-{number}.lock").read_text() for number in (1, 2)]
    assert shares == ["one==1 \\\n    --hash=sha256:0", "two==2 ; marker \\\n"]
    lock = (ROOT / "requirements.lock").read_text()
    dealt = "\n".join(line for share in script.share_out(lock) for line in share)
    assert sorted(dealt.split()) == sorted(line for line in lock.split("\n", 2)[2].split())
    assert script.share_out("one==1\n") == [["one==1\n"]]


def test_a_second_run_does_nothing_and_says_nothing(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    script.main()
    script.calls.clear()
    capsys.readouterr()
    script.main()
    assert script.calls == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_a_changed_declaration_completes_what_is_there(script: ModuleType, name: str) -> None:
    script.main()
    script.calls.clear()
    (script.ROOT / name).write_text("three==3\n")
    script.main()
    assert "venv" not in script.calls
    assert "1 Platestream itself" in script.calls
    script.calls.clear()
    script.main()
    assert script.calls == []


@pytest.mark.parametrize("line", ["{0} 3.11.0 {2}", "{0} {1} /elsewhere/.venv"])
def test_the_venv_of_another_python_or_folder_is_made_anew(script: ModuleType, line: str) -> None:
    script.main()
    script.STAMP.write_text(line.format(*script.STAMP.read_text().split()))
    script.calls.clear()
    script.main()
    assert script.calls[0] == "venv"


def test_a_venv_whose_python_is_gone_is_made_anew(script: ModuleType) -> None:
    script.main()
    shutil.rmtree(script.PYTHON.parent)
    script.calls.clear()
    script.main()
    assert script.calls[0] == "venv"


def test_an_interrupted_installation_is_begun_again(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    script.main()
    (script.ROOT / "requirements.lock").write_text("three==3\n")
    with monkeypatch.context() as patch:
        patch.setattr(script, "pip", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            script.main()
    script.calls.clear()
    script.main()
    assert script.calls[0] == "venv"


def test_what_another_process_finished_meanwhile_is_not_done_again(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def other_holds_the_lock(file: object, operation: int) -> None:
        if operation & script.fcntl.LOCK_NB:
            raise BlockingIOError
        script.install(script.stamp())
        script.calls.append("the other is done")

    monkeypatch.setattr(script.fcntl, "flock", other_holds_the_lock)
    script.main()
    assert script.calls[-1] == "the other is done"
    assert "waiting" in capsys.readouterr().out


def test_a_python_that_does_not_fit_is_named(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script.sys, "version_info", (3, 14, 0))
    with pytest.raises(SystemExit, match=r"3\.11, 3\.12 or 3\.13"):
        script.main()
    assert script.calls == []


def test_a_failing_pip_shows_its_last_words(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    script.make_venv()
    script.PYTHON.write_text("#!/bin/sh\necho Collecting one==1\necho 'no route to the index'\nexit 1\n")
    script.LOG.parent.mkdir()
    with pytest.raises(SystemExit, match="could not install packages"):
        load(script.ROOT / ".ci" / "make_venv.py").pip("packages", 2, "one")
    assert "no route to the index" in capsys.readouterr().out


def test_a_long_installation_tells_how_far_it_is(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    script.make_venv()
    said = [f"Collecting package-{number}==1 (from a lock)" for number in range(39)]
    said += ["Ignoring other: its markers do not match", "Installing collected packages: one, two, three"]
    script.PYTHON.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in said))
    script.LOG.parent.mkdir()
    load(script.ROOT / ".ci" / "make_venv.py").pip("packages", 40, "one")
    assert capsys.readouterr().out.splitlines() == [
        "  packages: 20 of 40, package-19",
        "  packages: 40 of 40, other",
        "  unpacking 3 packages",
    ]
    assert script.LOG.read_text().splitlines() == said


def test_a_python_without_venv_is_told_what_to_install(script: ModuleType, tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho ensurepip is not available\nexit 1\n")
    broken.chmod(0o755)
    fresh = load(script.ROOT / ".ci" / "make_venv.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fresh.sys, "executable", str(broken))
        with pytest.raises(SystemExit, match=r"(?s)ensurepip is not available.*apt-get install python3\.\d+-venv"):
            fresh.make_venv()
    assert not fresh.VENV.exists()


def test_make_names_its_commands() -> None:
    printed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for command in ("demo", "test", "check", "bench", "lock", "clean"):
        assert f"make {command} " in printed


def test_make_says_which_python_it_needs() -> None:
    found = subprocess.run(["make", "PYTHON=", "venv"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert "needs Python 3.11, 3.12 or 3.13" in found.stdout
