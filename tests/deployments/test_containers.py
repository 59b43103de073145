from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from flows.declared import read_environment
from tests.deployments.container_file import Instruction, read_container_file
from tests.deployments.declared import CONTAINER_FILES, DEPLOYMENTS
from tests.parts import ROOT

BOTH = pytest.mark.parametrize("file", CONTAINER_FILES, ids=lambda path: path.name)


def arguments(file: Path, word: str) -> list[str]:
    return [each.text for each in read_container_file(file) if each.word == word]


@BOTH
def test_hadolint_finds_nothing(file: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@BOTH
def test_an_image_installs_nothing_without_a_hash(file: Path) -> None:
    installs = [line for line in " && ".join(arguments(file, "RUN")).split("&&") if "pip install" in line]
    packages, ours = installs
    assert "--no-deps --require-hashes --requirement" in packages
    assert "--no-deps --no-build-isolation --editable ." in ours
    (lock,) = re.findall(r"requirements-\w+\.lock", packages)
    assert (ROOT / lock).is_file()
    assert f"{lock} ./" in arguments(file, "COPY")


@BOTH
def test_what_is_copied_is_there_and_sent_to_the_builder(file: Path) -> None:
    sent = (ROOT / ".dockerignore").read_text()
    for line in arguments(file, "COPY"):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{source}\n" in sent or source.endswith(".lock")


@BOTH
def test_an_image_runs_as_nobody_special_and_passes_signals_on(file: Path) -> None:
    (user,) = arguments(file, "USER")
    assert user == "1000:1000"
    assert arguments(file, "STOPSIGNAL") == ["SIGTERM"]
    assert arguments(file, "ENTRYPOINT") == ['["tini", "--", "start", "platestream"]']
    # whatever is written at run time is written to one of these, or to /tmp
    variables = " ".join(arguments(file, "ENV"))
    for folder in ("HOME=/state", "PLATESTREAM_STATE_FOLDER=/state", "PLATESTREAM_CACHE_FOLDER=/cache"):
        assert folder in variables


def test_both_images_have_the_same_python_one_that_we_support() -> None:
    (cpu,), (cuda,) = (arguments(file, "FROM") for file in CONTAINER_FILES)
    assert cpu == cuda
    (version,) = re.findall(r"python:(3\.\d+)-", cpu)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"{version}.1" in SpecifierSet(project["requires-python"])


@BOTH
def test_an_image_proves_that_the_packages_are_ours(file: Path) -> None:
    assert any(run.endswith("platestream --version") for run in arguments(file, "RUN"))


def test_images_are_built_under_the_environments_names() -> None:
    images = read_environment("gcp").google.artifacts.images
    names = {
        file: re.findall(r"docker build -f deployments/\S+ -t (\S+) \.", file.read_text()) for file in CONTAINER_FILES
    }
    assert [found for (found,) in names.values()] == [images["cpu"], images["cuda"]]


def run_start(tmp_path: Path, *command: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "NUMBA_CACHE_DIR": str(tmp_path / "cache" / "numba"),
        "COMPILED_KERNELS": str(tmp_path / "image"),
    }
    done = subprocess.run(
        [DEPLOYMENTS / "start.sh", *command], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_compiled_kernels_of_the_image_are_put_where_numba_can_write(tmp_path: Path) -> None:
    (tmp_path / "image" / "kernels_1").mkdir(parents=True)
    (tmp_path / "image" / "kernels_1" / "flood.nbi").write_text("compiled")
    assert run_start(tmp_path, "printf", "%s", "a b") == "a b"
    copied = tmp_path / "cache" / "numba" / "kernels_1" / "flood.nbi"
    assert copied.read_text() == "compiled"
    copied.write_text("newer")
    run_start(tmp_path, "true")
    assert copied.read_text() == "newer"  # what is there is left alone
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["numba"]


def test_the_program_takes_the_place_of_the_shell_so_that_signals_reach_it(tmp_path: Path) -> None:
    script = f"echo $$; exec {DEPLOYMENTS / 'start.sh'} sh -c 'echo $$'"
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
    )
    before, after = done.stdout.split()
    assert before == after


def test_continued_lines_and_comments_of_a_container_file_are_read(tmp_path: Path) -> None:
    (tmp_path / "Containerfile").write_text('# why\nFROM a:1\nRUN one \\\n # no\n && two\nCMD ["x"]\n')
    assert read_container_file(tmp_path / "Containerfile") == [
        Instruction("FROM", "a:1"),
        Instruction("RUN", "one && two"),
        Instruction("CMD", '["x"]'),
    ]
