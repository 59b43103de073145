"""How the environment of the BigQuery stand-in is prepared: once, anew after a change or an interruption."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType

import pytest

from tests.parts import ROOT
from tests.test_make_venv import load

VENV = "#!/bin/sh\nmkdir -p {root}/.cache/bqemulator/bin\ncp {root}/pip {root}/.cache/bqemulator/bin/python\n"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script in a checkout of its own, where making an environment and pip only write to ``calls``."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "make_bqemulator.py", tmp_path / ".ci")
    (tmp_path / "tests" / "standins").mkdir(parents=True)
    (tmp_path / "tests" / "standins" / "bqemulator.lock").write_text("one==1 \\\n    --hash=sha256:0\n")
    for name, text in {"venv": VENV, "pip": "#!/bin/sh\n"}.items():
        (tmp_path / name).write_text(text.format(root=tmp_path) + f'echo "$@" >> {tmp_path}/calls\n')
        (tmp_path / name).chmod(0o755)
    module = load(tmp_path / ".ci" / "make_bqemulator.py")
    monkeypatch.setattr(module.sys, "executable", str(tmp_path / "venv"))
    return module


def calls(script: ModuleType) -> list[str]:
    """First words of what was run since the last look."""
    path = script.ROOT / "calls"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return [" ".join(line.split()[:3]) for line in lines]


def test_the_first_run_installs_and_the_second_does_nothing(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    script.main()
    assert calls(script) == ["-m venv --clear", "-m pip install", "-W ignore -m"]
    assert "400 MB" in capsys.readouterr().out
    script.main()
    assert calls(script) == []
    assert capsys.readouterr().out == ""


def test_a_changed_lock_makes_it_anew(script: ModuleType) -> None:
    script.main()
    script.LOCK.write_text("two==2\n")
    calls(script)
    script.main()
    assert calls(script)[0] == "-m venv --clear"


def test_a_failing_pip_is_shown_and_begun_again(script: ModuleType) -> None:
    pip = script.ROOT / "pip"
    works = pip.read_text()
    pip.write_text("#!/bin/sh\necho 'no route to the index'\nexit 1\n")
    with pytest.raises(SystemExit, match=r"(?s)no route to the index.*could not install bqemulator"):
        script.main()
    pip.write_text(works)
    calls(script)
    script.main()
    assert len(calls(script)) == 3
