"""Packages of the same names as ours are found before they do harm."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flows.ours import HOME, find_strangers, locate_package


def install(folder: Path, *packages: str) -> Path:
    """Packages that look like ours in a folder."""
    for package, file in (("flows", "ours.py"), ("imaging", "wells.py"), ("kernels", "image_quality.py")):
        if package in packages:
            (folder / package).mkdir(parents=True)
            (folder / package / file).touch()
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return install(tmp_path / "home", "flows", "imaging", "kernels")


def test_this_checkout_is_ours() -> None:
    assert find_strangers() == []
    assert locate_package("kernels") == HOME / "kernels"


def test_three_packages_of_one_folder_are_ours(home: Path) -> None:
    assert find_strangers(lambda name: home / name, home=home) == []


@pytest.mark.parametrize("name", ["flows", "imaging", "kernels"])
def test_a_package_from_another_folder_is_named_with_what_to_do(name: str, home: Path, tmp_path: Path) -> None:
    stranger = install(tmp_path / "site-packages", name)
    found = find_strangers(lambda asked: (stranger if asked == name else home) / asked, home=home)
    assert len(found) == 1
    assert f"the package {name!r} would come from {stranger}" in found[0]
    assert f"`pip uninstall {name}`" in found[0]


def test_a_package_that_is_missing_is_named(home: Path) -> None:
    found = find_strangers(lambda name: None if name == "kernels" else home / name, home=home)
    assert found == [f"the package 'kernels' is missing in {home}; install platestream again"]


def test_a_package_without_our_file_is_no_package_of_ours(home: Path) -> None:
    (home / "kernels" / "image_quality.py").unlink()
    (found,) = find_strangers(lambda name: home / name, home=home)
    assert "was overwritten by another distribution" in found


def test_a_distribution_of_the_same_name_in_our_folder_is_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "kernels-0.9.dist-info").mkdir()
    (home / "kernels-0.9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: kernels\nVersion: 0.9\n")
    monkeypatch.setattr(sys, "path", [str(home), *sys.path])
    (found,) = find_strangers(lambda name: home / name, home=home)
    assert "the package 'kernels'" in found
    assert "was overwritten" in found


def test_a_name_that_nobody_has_is_not_located() -> None:
    assert locate_package("a_package_that_nobody_has") is None


def test_the_command_refuses_to_run_with_a_stranger(tmp_path: Path) -> None:
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "__init__.py").write_text("raise SystemExit('the stranger ran')")
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(HOME)!r}]; from flows.cli import main; main()"
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 3
    assert found.stderr.startswith("error: the installation is broken\n  - the package 'kernels' would come from")
    assert "the stranger ran" not in found.stderr
