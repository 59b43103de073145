"""What our code must not contain: ways by which data that came from outside becomes code, or an attacker's XML memory.

Each rule is shown to find its fault in a line that has it; what is allowed stands in ALLOWED, with the reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts import ROOT

PACKAGES = ("flows", "imaging", "kernels", ".ci")
ALLOWED = {
    ("flows/isolation.py", "pickle"): "between a worker and the process that it started for one site of its own",
    ("flows/preemption.py", "distributed.protocol.pickle"): "writes only: what Dask's scheduler is told about a worker",
}
_UNPICKLERS = (
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "pandas.read_pickle",
)
_XML = ("xml.dom", "xml.sax", "lxml", "xml.etree.cElementTree", "xmltodict")
_XML_PARSERS = ("parse", "iterparse", "fromstring", "fromstringlist", "XML", "XMLID", "XMLParser", "XMLPullParser")
_CODE = ("eval", "exec", "compile", "__import__", "breakpoint", "input")
_YAML = ("load", "load_all", "unsafe_load", "full_load", "unsafe_load_all", "full_load_all")
_SHELLS = ("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "commands.getoutput")


def find_faults(source: str) -> Iterator[tuple[int, str, str]]:
    """Line, what is used, and what is wrong with it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _import_faults(node)
        elif isinstance(node, ast.Call):
            yield from _call_faults(node)


def _import_faults(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[int, str, str]]:
    module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
    names = [f"{module}.{item.name}".lstrip(".") for item in node.names]
    for name in [*names, module]:
        parts = name.split(".")
        if any(name == each or name.startswith(f"{each}.") for each in _UNPICKLERS):
            yield node.lineno, parts[0], "unpickles: what is in the bytes is run"
        if module == "distributed.protocol.pickle":
            yield node.lineno, module, "unpickles: what is in the bytes is run"
        if any(name == each or name.startswith(f"{each}.") for each in _XML):
            yield node.lineno, name, "reads XML with its entities"
    for name in names:
        if name in ("xml.etree.ElementTree", "xml.etree") or (
            name.startswith("xml.etree.ElementTree.") and name.rpartition(".")[2] in _XML_PARSERS
        ):
            yield node.lineno, name, "reads XML with its entities; defusedxml does not"


def _call_faults(node: ast.Call) -> Iterator[tuple[int, str, str]]:
    name = ast.unparse(node.func)
    last = name.rpartition(".")[2]
    given = {item.arg: item.value for item in node.keywords}
    if name in _CODE:
        yield node.lineno, name, "runs what it is given"
    if name.split(".")[0] == "yaml" and last in _YAML:
        yield node.lineno, name, "makes any Python object that the YAML names"
    if name in _SHELLS or _is_not_false(given.get("shell")):
        yield node.lineno, name, "hands a line to a shell"
    if _is_not_false(given.get("allow_pickle")):
        yield node.lineno, name, "unpickles: what is in the bytes is run"
    if name == "np.load" and "allow_pickle" not in given:
        yield node.lineno, name, "says nothing about pickled arrays"
    if last in ("extractall", "extract", "unpack_archive"):
        yield node.lineno, name, "puts files where the archive says"
    if last in ("mktemp", "_create_unverified_context"):
        yield node.lineno, name, "is not safe"
    if last == "verify_mode" or ("verify" in given and _is_false(given["verify"])):
        yield node.lineno, name, "takes any certificate"


def _is_false(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is False


def _is_not_false(value: ast.expr | None) -> bool:
    return value is not None and not _is_false(value)


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def test_no_module_makes_code_of_data() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {used} {fault}"
        for path in sources()
        for line, used, fault in find_faults(path.read_text())
        if (str(path.relative_to(ROOT)), used) not in ALLOWED
    ]
    assert found == []
    assert len(sources()) > 200


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib",
        "from distributed.protocol.pickle import loads",
        "import yaml; yaml.load(text, Loader=yaml.Loader)",
        "yaml.full_load(text)",
        "eval(text)",
        "exec(text)",
        "subprocess.run(line, shell=True)",
        "subprocess.run(line, shell=flag)",
        "os.system(line)",
        "np.load(file)",
        "np.load(file, allow_pickle=True)",
        "np.lib.format.read_array(file, allow_pickle=flag)",
        "archive.extractall(folder)",
        "from xml.etree import ElementTree",
        "import xml.etree.ElementTree",
        "from xml.etree.ElementTree import fromstring",
        "from lxml import etree",
        "from xml.dom import minidom",
        "httpx.get(url, verify=False)",
    ],
)
def test_each_rule_finds_its_fault(line: str) -> None:
    assert list(find_faults(line))


@pytest.mark.parametrize(
    "line",
    [
        "yaml.safe_load(text)",
        "from xml.etree.ElementTree import Element, ParseError",
        "from defusedxml.ElementTree import fromstring",
        "np.load(file, allow_pickle=False)",
        "subprocess.run([program, name])",
        "re.compile(text)",
    ],
)
def test_what_is_safe_is_no_fault(line: str) -> None:
    assert not list(find_faults(line))


def test_what_is_allowed_is_still_used() -> None:
    for name, used in ALLOWED:
        assert used in {each for _, each, _ in find_faults((ROOT / name).read_text())}, (name, used)


SQL_WORDS = ("SELECT ", "INSERT ", "DELETE ", "MERGE ", "UPDATE ", "CREATE ", "DROP ", "ALTER ", "TRUNCATE ")
SQL_PIECES = {
    "FEATURE": "a constant",
    "WITHDRAWN": "a constant",
    "name": "a view's name, which is that of a file of ours",
    "table.name": "a table that the code declares",
    "sql": "a whole statement from imaging/sql",
    "listed": "columns that the code declares",
    "table": "a table of the data set, whose name the settings check",
    "runs": "the same",
    "source": "the same, or the name of an Arrow table",
    "warehouse.table_id(name)": "the same",
    "warehouse.table_id(item.table_id)": "the same",
    "self.warehouse.table_id(sheet.name)": "the same",
    "where": "pieces of _equals",
    "files": "a SELECT of _text_list",
    "_equals(place)": "columns that the code names, each compared with a parameter",
    "_text_list(paths)": "paths with their quotes doubled",
}


def find_sql_pieces(source: str) -> set[str]:
    """Expressions that are put into SQL as text."""
    return {
        ast.unparse(piece.value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.JoinedStr)
        and isinstance(node.values[0], ast.Constant)
        and str(node.values[0].value).lstrip().startswith(SQL_WORDS)
        for piece in node.values
        if isinstance(piece, ast.FormattedValue)
    }


def test_only_checked_names_are_put_into_sql_as_text() -> None:
    """Values are parameters; a new piece of SQL that is no parameter has to be justified in SQL_PIECES."""
    found = set[str]().union(*(find_sql_pieces(path.read_text()) for path in sources()))
    assert found == set(SQL_PIECES)
    assert find_sql_pieces("""f"SELECT 1 FROM x WHERE plate = '{plate}'" """) == {"plate"}
