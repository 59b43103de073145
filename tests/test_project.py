"""The project as a whole: whose packages are imported, what the files may hold, whether lock and declaration agree."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.parts import ROOT

PACKAGES = ("flows", "imaging", "kernels")
SHIPPED = ("requirements.lock", "requirements-run.lock", "requirements-gpu.lock")
LOCKS = (*SHIPPED, "tests/standins/bqemulator.lock")
OF_EXTRAS = ("cupy", "cupyx", "dask_cuda", "cuda", "anndata", "h5py", "pandas", "polars")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

OPTIONAL = PROJECT["project"]["optional-dependencies"]
RUNTIME = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["build"]]
DEVELOPMENT = [each for each in PROJECT["dependency-groups"]["dev"] if each != {"include-group": "build"}]

# Addresses of package indexes, and folders of one machine. Brackets keep the patterns from finding themselves.
STRANGERS = re.compile(r"index[-]url|https?://\S*/[s]imple|https?://[f]iles\.|py[p]i\.org|[^\w.]/tm[p]/|/[r]oot/")


def tree() -> list[Path]:
    """Files of the project: what git has or would take; without git, everything that is not hidden."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        names = [Path(name) for name in listed.stdout.splitlines()]
    else:
        names = [path.relative_to(ROOT) for path in ROOT.rglob("*")]
        names = [name for name in names if not any(part in (".venv", ".cache", "__pycache__") for part in name.parts)]
    return sorted(ROOT / name for name in names if (ROOT / name).is_file())


def texts() -> Iterator[tuple[Path, str]]:
    """Files of the project that are text."""
    for path in tree():
        data = path.read_bytes()
        if b"\0" not in data[:8_000]:
            yield path.relative_to(ROOT), data.decode(errors="replace")


def pins(name: str) -> dict[str, str]:
    """Versions in a lock file by package."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", (ROOT / name).read_text(), re.MULTILINE))


# Packages


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_ours(package: str) -> None:
    found = importlib.import_module(package).__file__
    assert found is not None
    assert Path(found) == ROOT / package / "__init__.py"


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_ours_from_any_folder(package: str, tmp_path: Path) -> None:
    try:
        importlib.metadata.distribution("platestream")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("platestream is not installed in this Python: make test")
    code = f"import importlib.util as u; print(u.find_spec({package!r}).origin)"
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()) == ROOT / package / "__init__.py"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_stranger_has_the_name_of_a_package_of_ours(package: str) -> None:
    assert not [
        found.metadata["Name"]
        for found in importlib.metadata.distributions()
        if canonicalize_name(found.metadata["Name"]) == package
    ]
    assert not [lock for lock in LOCKS if package in pins(lock)]


def test_the_wheel_brings_the_data_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = pytest.importorskip("hatchling.build")
    monkeypatch.chdir(ROOT)
    wheel = tmp_path / build.build_wheel(str(tmp_path))
    inside = set(zipfile.ZipFile(wheel).namelist())
    ours = {str(path.relative_to(ROOT)) for path in tree() if path.relative_to(ROOT).parts[0] in PACKAGES}
    assert ours <= inside
    assert {name.split("/")[0] for name in inside if ".dist-info/" not in name} == set(PACKAGES)


# Versions


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_in_a_lock_has_hashes(lock: str) -> None:
    blocks = re.split(r"\n(?=\S)", (ROOT / lock).read_text())
    named = [block for block in blocks if not block.startswith("#")]
    assert len(named) > 70
    assert not [block.splitlines()[0] for block in named if "--hash=sha256:" not in block]


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", [*RUNTIME, *DEVELOPMENT]),
        ("requirements-run.lock", [*RUNTIME, *OPTIONAL["gke"]]),
        ("requirements-gpu.lock", [*RUNTIME, *OPTIONAL["gpu"]]),
        (
            "tests/standins/bqemulator.lock",
            re.findall(r"^[^#\s]+", (ROOT / "tests/standins/bqemulator.in").read_text(), re.MULTILINE),
        ),
    ],
)
def test_a_lock_fits_what_is_declared(lock: str, wanted: list[str]) -> None:
    locked = pins(lock)
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        assert name in locked, f"make lock: {requirement}"
        assert requirement.specifier.contains(locked[name], prereleases=True), f"make lock: {requirement}"


def test_the_locks_agree_where_both_speak() -> None:
    plain, *others = (pins(lock) for lock in SHIPPED)
    for other in others:
        shared = plain.keys() & other.keys()
        assert {name: (plain[name], other[name]) for name in shared if plain[name] != other[name]} == {}


def test_what_is_installed_in_containers_brings_no_tool_of_developers() -> None:
    for lock in SHIPPED[1:]:
        assert {"pytest", "ruff", "pyright", "hypothesis", "playwright"}.isdisjoint(pins(lock))


def test_what_is_imported_is_declared() -> None:
    imported: set[str] = set()
    for path, text in texts():
        if path.suffix == ".py" and path.parts[0] in PACKAGES:
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Import):
                    imported.update(alias.name.split(".")[0] for alias in node.names)
                if isinstance(node, ast.ImportFrom) and node.module:
                    imported.add(node.module.split(".")[0])
    imported -= {*sys.stdlib_module_names, *PACKAGES, *OF_EXTRAS}
    modules = importlib.metadata.packages_distributions()
    declared = {canonicalize_name(Requirement(line).name) for line in PROJECT["project"]["dependencies"]}
    assert [name for name in sorted(imported) if declared.isdisjoint(map(canonicalize_name, modules[name]))] == []


# Files


def test_no_file_names_a_machine_or_an_index() -> None:
    private = [f"{folder}/" for folder in (ROOT.parent, Path.home()) if len(str(folder)) > 1]
    found = [
        f"{path}: {line.strip()[:100]}"
        for path, text in texts()
        for line in text.splitlines()
        if STRANGERS.search(line) or any(folder in line for folder in private)
    ]
    assert found == []


def test_modules_are_short_enough_to_be_read() -> None:
    sizes = {str(path): text.count("\n") for path, text in texts() if path.suffix == ".py"}
    assert {path: size for path, size in sizes.items() if size > 400} == {}


def test_the_instructions_for_contributors_fit_a_screen() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) < 60


def test_the_changelog_has_a_place_for_moved_numbers() -> None:
    assert "\n### Numbers\n" in (ROOT / "CHANGELOG.md").read_text()


def test_the_license_is_whole_and_has_an_owner() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert "Copyright 2026 Platestream developers" in text


# Rules that make check enforces: each with the fault it is there for


@pytest.mark.parametrize(
    "line",
    ["import os; os.environ['A']", "from os import environ", "import os; os.getenv('A')", "from os import getenv"],
)
def test_the_environment_is_read_in_the_settings_only(line: str) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--select", "TID251", "-", "--stdin-filename"]
    refused = subprocess.run([*command, "imaging/some.py"], cwd=ROOT, input=line + "\n", text=True, capture_output=True)
    assert "flows/settings.py" in refused.stdout
    taken = subprocess.run([*command, "flows/settings.py"], cwd=ROOT, input=line + "\n", text=True, capture_output=True)
    assert taken.returncode == 0


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("imaging/wells.py", "import flows", "imports go from flows to imaging to kernels"),
        ("kernels/__init__.py", "import imaging.wells", "imports go from flows to imaging to kernels"),
        ("imaging/wells.py", "from dask import array", "imaging knows no orchestrator"),
        ("imaging/wells.py", "from prefect.events import Event", "imaging knows no orchestrator"),
        ("kernels/__init__.py", "import zarr", "kernels know arrays only"),
        ("kernels/__init__.py", "from google.cloud import storage", "kernels know arrays only"),
    ],
)
def test_an_import_against_the_layers_is_found(module: str, line: str, contract: str, tmp_path: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / module
    path.write_text(f"{path.read_text()}\n{line}\n")
    code = "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])"
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert f"{contract} BROKEN" in found.stdout
    assert found.returncode == 1
