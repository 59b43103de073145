"""Which process runs which tests, and when."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.order import SERVICES, SHARED, SLOW, piece_of, sort_tests
from tests.parts import ROOT


def arguments(path: Path) -> set[str]:
    """Fixtures that the tests and fixtures of a file take."""
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    taking = [
        each
        for each in functions
        if each.name.startswith("test_") or any("fixture" in ast.unparse(item) for item in each.decorator_list)
    ]
    return {argument.arg for each in taking for argument in (*each.args.args, *each.args.kwonlyargs)}


def test_every_named_piece_is_there() -> None:
    named = {file for files in SHARED.values() for file in files} | set(SLOW) - set(SHARED)
    assert {file for file in named if not (ROOT / file).is_file()} == set()
    assert set(SHARED) == set(SERVICES)
    assert len(set(SLOW)) == len(SLOW)


@pytest.mark.parametrize("service", SHARED)
def test_all_who_take_a_service_are_one_piece(service: str) -> None:
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if arguments(path) & SERVICES[service]]
    dearer = list(SHARED)[: list(SHARED).index(service) + 1]
    found = {piece_of(path.relative_to(ROOT).as_posix()) for path in files}
    assert service in found
    assert found <= set(dearer)


def test_what_takes_longest_begins_first_and_the_rest_by_its_number_of_tests() -> None:
    few, many = "tests/test_few.py::a", ["tests/test_many.py::a", "tests/test_many.py::b[x::y]"]
    slow, slower = f"{SLOW[-1]}::a", "tests/flows/test_budget.py::a"
    shared = "tests/flows/test_events.py::a"
    tests = [few, many[0], slower, slow, many[1], shared]
    assert sort_tests(tests, str) == [slower, shared, slow, *many, few]


def test_a_process_gets_whole_pieces_and_the_slow_ones_first(tmp_path: Path) -> None:
    files = {"tests/test_few.py": 1, "tests/test_many.py": 5, SLOW[-1]: 1}
    for shared in SHARED.values():
        files |= dict.fromkeys(shared[:2], 2)
    for name, count in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"def test_{number}(): pass\n" for number in range(count)))
    options = ("-p", "tests.order", "--import-mode=importlib", f"--rootdir={tmp_path}", "-c", os.devnull, "-v")
    command = [sys.executable, "-m", "pytest", *options, "-n2", "--dist=loadfile", str(tmp_path / "tests")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    found = re.findall(r"\[(gw\d)\].* PASSED (\S+)", done.stdout)
    assert len(found) == sum(files.values()), done.stdout + done.stderr
    processes: dict[str, set[str]] = {}
    for process, test in found:
        processes.setdefault(piece_of(test), set()).add(process)
    assert {piece: len(names) for piece, names in processes.items()} == dict.fromkeys(processes, 1)
    first = {process: piece_of(test) for process, test in reversed(found)}
    assert set(first.values()) == {"the Prefect server", "the BigQuery stand-in"}
