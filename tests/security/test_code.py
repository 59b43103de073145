"""What our code must not contain: ways by which data that came from outside becomes code, or an attacker's XML memory.

Each rule is shown to find its fault in a line that has it; what is allowed stands in ALLOWED, with the reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.parts import ROOT

PACKAGES = ("flows", "imaging", "kernels", ".ci")
ALLOWED = {
    ("flows/isolation.py", "pickle"): "between a worker and the process that it started for one site of its own",
    ("flows/preemption.py", "distributed.protocol.pickle"): "writes only: what Dask's scheduler is told about a worker",
    ("flows/clusters/security.py", "ssl.CERT_NONE"): "only to learn whether it speaks TLS; nothing is said or read",
}
_UNPICKLES = "unpickles: what is in the bytes is run"
_RUNS = "runs what it is given"
_ANY_OBJECT = "makes any Python object that the YAML names"
_SHELL = "hands a line to a shell"
_ENTITIES = "reads XML with its entities; defusedxml does not"
_CERTIFICATE = "takes any certificate"
_XML_PARSERS = ("parse", "iterparse", "fromstring", "fromstringlist", "XML", "XMLID", "XMLParser", "XMLPullParser")
BANNED = {
    **dict.fromkeys(("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"), _UNPICKLES),
    **dict.fromkeys(("pandas.read_pickle", "numcodecs.Pickle", "distributed.protocol.pickle"), _UNPICKLES),
    **dict.fromkeys(("eval", "exec", "compile", "__import__", "breakpoint", "input"), _RUNS),
    **dict.fromkeys((f"builtins.{name}" for name in ("eval", "exec", "compile", "__import__")), _RUNS),
    **dict.fromkeys((f"yaml.{name}" for name in ("load", "unsafe_load", "full_load")), _ANY_OBJECT),
    **dict.fromkeys((f"yaml.{name}_all" for name in ("load", "unsafe_load", "full_load")), _ANY_OBJECT),
    **dict.fromkeys(("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"), _SHELL),
    **dict.fromkeys(("asyncio.create_subprocess_shell",), _SHELL),
    **dict.fromkeys(("xml.dom", "xml.sax", "xml.etree.cElementTree", "lxml", "xmltodict"), _ENTITIES),
    **dict.fromkeys((f"xml.etree.ElementTree.{name}" for name in _XML_PARSERS), _ENTITIES),
    **dict.fromkeys(("ssl.CERT_NONE", "ssl._create_unverified_context"), _CERTIFICATE),
    "tempfile.mktemp": "names a file that another may make first",
}
"""Modules and functions, by their whole names, that nothing of ours may as much as name."""
_WHOLE_XML = ("xml.etree.ElementTree", "xml.etree")
"""Modules that are imported piece by piece, so that it is seen which."""
_SHORT = {"np": "numpy", "pd": "pandas"}


def find_faults(source: str) -> Iterator[tuple[int, str, str]]:
    """Line, what is used, and what is wrong with it."""
    tree = ast.parse(source)
    names = _SHORT | _imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _import_faults(node)
        elif isinstance(node, ast.Name | ast.Attribute):
            yield from _banned(node.lineno, _whole_name(node, names))
        elif isinstance(node, ast.Call):
            yield from _call_faults(node, _whole_name(node.func, names))


def _imported(tree: ast.AST) -> dict[str, str]:
    """What each name stands for that an import gives: ``load`` for ``yaml.load`` after ``from yaml import load``."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {item.asname: item.name for item in node.names if item.asname}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {item.asname or item.name: f"{node.module}.{item.name}" for item in node.names}
    return found


def _whole_name(node: ast.expr, names: Mapping[str, str]) -> str:
    first, dot, rest = ast.unparse(node).partition(".")
    return f"{names.get(first, first)}{dot}{rest}"


def _banned(line: int, name: str) -> Iterator[tuple[int, str, str]]:
    for banned, fault in BANNED.items():
        if name == banned or name.startswith(f"{banned}."):
            yield line, banned, fault


def _import_faults(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[int, str, str]]:
    module = f"{node.module}." if isinstance(node, ast.ImportFrom) and not node.level else ""
    for name in (f"{module}{item.name}" for item in node.names):
        yield from _banned(node.lineno, name)
        if name in _WHOLE_XML:
            yield node.lineno, name, _ENTITIES
        if name.endswith(".*"):
            yield node.lineno, name, "hides what it is that is used"


def _call_faults(node: ast.Call, name: str) -> Iterator[tuple[int, str, str]]:
    last = name.rpartition(".")[2]
    given = {item.arg: item.value for item in node.keywords}
    if _is_not_false(given.get("shell")):
        yield node.lineno, name, _SHELL
    if _is_not_false(given.get("allow_pickle")):
        yield node.lineno, name, _UNPICKLES
    if name == "numpy.load" and "allow_pickle" not in given:
        yield node.lineno, name, "says nothing about pickled arrays"
    if last in ("extractall", "extract", "unpack_archive"):
        yield node.lineno, name, "puts files where the archive says"
    if "verify" in given and _is_false(given["verify"]):
        yield node.lineno, name, _CERTIFICATE


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
        "from cloudpickle import loads as read",
        "import pandas as tables; tables.read_pickle(file)",
        "pd.read_pickle(file)",
        "from pandas import read_pickle",
        "from distributed.protocol.pickle import loads",
        "import yaml; yaml.load(text, Loader=yaml.Loader)",
        "yaml.full_load(text)",
        "from yaml import load",
        "from yaml import load as read; read(text)",
        "import yaml as y; y.unsafe_load_all(text)",
        "eval(text)",
        "exec(text)",
        "list(map(eval, texts))",
        "builtins.exec(text)",
        "subprocess.run(line, shell=True)",
        "subprocess.run(line, shell=flag)",
        "os.system(line)",
        "from os import system",
        "from os import popen as start; start(line)",
        "from subprocess import getoutput",
        "from os import *",
        "np.load(file)",
        "numpy.load(file)",
        "from numpy import load; load(file)",
        "import numpy as n; n.load(file)",
        "np.load(file, allow_pickle=True)",
        "np.lib.format.read_array(file, allow_pickle=flag)",
        "archive.extractall(folder)",
        "from xml.etree import ElementTree",
        "import xml.etree.ElementTree",
        "from xml.etree.ElementTree import fromstring",
        "from lxml import etree",
        "from xml.dom import minidom",
        "from xml.etree import ElementTree as E; E.parse(file)",
        "context.verify_mode = ssl.CERT_NONE",
        "tempfile.mktemp()",
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
        "from re import compile; compile(text)",
        "tree.load(text)",
        "import json; json.load(file)",
    ],
)
def test_what_is_safe_is_no_fault(line: str) -> None:
    assert not list(find_faults(line))


def test_what_is_allowed_is_still_used() -> None:
    for name, used in ALLOWED:
        assert used in {each for _, each, _ in find_faults((ROOT / name).read_text())}, (name, used)


SQL_WORDS = re.compile(
    r"\b(SELECT|INSERT|DELETE|MERGE|UPDATE|CREATE|DROP|ALTER|TRUNCATE|COPY|ATTACH|WITH|SET|FROM|JOIN|UNION|WHERE|AND|OR|"
    r"VALUES|GROUP BY|ORDER BY|LIMIT|AS|CAST|TIMESTAMP|COUNT|SUM|MIN|MAX)(?=[\s(]|$)"
)
_FILLS = ("format", "format_map", "replace", "join")
SQL_PIECES = {
    "flows/cli_segment.py: text": "no SQL: an option of the form MIN,MAX",
    "flows/demo_report.py: FEATURE": "a constant",
    "flows/report.py: job.store.url": "no SQL: a command line for people",
    "imaging/quality_guide.py: metric_column('LocalFocusScore_20', 'DNA')": "no SQL: a column's name in a guide",
    "imaging/query.py: _text_list(allowed)": "paths with their quotes doubled",
    "imaging/query.py: _text_list(paths)": "the same",
    "imaging/query.py: files": "a SELECT of _text_list",
    "imaging/query.py: len(statements)": "no SQL: a number in a sentence",
    "imaging/query.py: name": "a view's name, which is that of a file of ours",
    "imaging/query.py: sql": "a whole statement from imaging/sql",
    "imaging/query.py: table.name": "a table that the code declares",
    "imaging/views.py: name": "no SQL: a view's name in a sentence",
    "imaging/warehouse/acquisitions.py: table": "a table of the data set, whose name the settings check",
    "imaging/warehouse/fingerprints.py: chunk[0]": "a feature, whose name has letters, digits and _",
    "imaging/warehouse/fingerprints.py: day": "a date",
    "imaging/warehouse/fingerprints.py: listed": "columns that the code declares",
    "imaging/warehouse/fingerprints.py: measure": "the same, in a sum",
    "imaging/warehouse/fingerprints.py: name": "the same",
    "imaging/warehouse/fingerprints.py: number": "a number",
    "imaging/warehouse/fingerprints.py: source": "a table of the data set, or the name of an Arrow table",
    "imaging/warehouse/fingerprints.py: where": "the columns of PLACE, each compared with a parameter",
    "imaging/warehouse/live.py: table": "a table of the data set",
    "imaging/warehouse/promotions.py: table": "a table of the data set",
    "imaging/warehouse/publications.py: WITHDRAWN": "a constant",
    "imaging/warehouse/publications.py: runs": "a table of the data set",
    "imaging/warehouse/publications.py: where": "pieces of _equals",
    "imaging/results/entry.py: ' AND '.join(where)": "columns that the code names, each compared with a bound value",
    "imaging/results/entry.py: name": "a table that the code declares",
    "imaging/results/entry.py: where": "the same columns",
    "imaging/warehouse/analyses.py: analyses": "a table of the data set",
    "imaging/warehouse/analyses.py: choices": "a table of the data set",
    "imaging/warehouse/fingerprints.py: (f'`{name}` = @{name}' for name in sheet.place)": "declared columns",
    "imaging/warehouse/publications.py: equals(place)": "columns that the code names, each compared with a parameter",
    "imaging/warehouse/publications.py: equals(values)": "the same",
    "imaging/warehouse/rows.py: (f'{column} = @{column}' for column in columns)": "columns that the code names",
    "imaging/warehouse/rows.py: self.warehouse.table_id(sheet.name)": "a table of the data set",
    "imaging/warehouse/rows.py: where": "pieces of equals",
    "imaging/warehouse/views.py: listed": "columns that the code declares",
    "imaging/warehouse/views.py: name": "no SQL: a view's name in a sentence",
    "imaging/warehouse/views.py: parts": "a SELECT for each table",
    "imaging/warehouse/views.py: sql": "a whole statement from imaging/sql",
    "imaging/warehouse/views.py: warehouse.table_id(item.table_id)": "a table of the data set",
    "imaging/warehouse/views.py: warehouse.table_id(name)": "the same",
}


def find_sql_pieces(source: str) -> set[str]:
    """Expressions that are put into SQL as text: by an f-string, ``+``, ``%``, ``format``, ``replace`` or ``join``."""
    tree = ast.parse(source)
    statements = {
        ast.unparse(target)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and _is_sql(node.value, set())
        for target in node.targets
    }
    return {ast.unparse(piece) for node in ast.walk(tree) for piece in _pieces(node, statements)}


def _pieces(node: ast.AST, statements: set[str]) -> Iterator[ast.expr]:
    if isinstance(node, ast.JoinedStr) and any(_is_sql(part, set()) for part in node.values):
        yield from (part.value for part in node.values if isinstance(part, ast.FormattedValue))
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        sides = (node.left, node.right)
        if any(_is_sql(side, statements) for side in sides):
            yield from (side for side in sides if not isinstance(side, ast.Constant))
    elif isinstance(node, ast.Call) and _fills_sql(node.func, statements):
        yield from (*node.args, *(item.value for item in node.keywords))


def _fills_sql(called: ast.expr, statements: set[str]) -> bool:
    return isinstance(called, ast.Attribute) and called.attr in _FILLS and _is_sql(called.value, statements)


def _is_sql(node: ast.expr, statements: set[str]) -> bool:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return SQL_WORDS.search(node.value) is not None
    return ast.unparse(node) in statements


def test_only_checked_names_are_put_into_sql_as_text() -> None:
    """Values are parameters; a new piece of SQL that is no parameter has to be justified in SQL_PIECES."""
    found = {f"{path.relative_to(ROOT)}: {piece}" for path in sources() for piece in find_sql_pieces(path.read_text())}
    assert found == set(SQL_PIECES)


@pytest.mark.parametrize(
    "line",
    [
        """f"SELECT 1 FROM x WHERE plate = '{plate}'" """,
        """f" AND plate = '{plate}'" """,
        """f"WHERE plate = '{plate}'" """,
        """f"{plate} UNION SELECT 1" """,
        """f"SET x = '{plate}'" """,
        """f"COPY x TO '{plate}'" """,
        """f"ATTACH '{plate}'" """,
        """f"WITH x AS ({plate})" """,
        """"SELECT 1 FROM " + plate""",
        """"SELECT '%s'" % plate""",
        """"SELECT '{}'".format(plate)""",
        """"SELECT '{name}'".format(name=plate)""",
        """" AND ".join(plate)""",
        """QUERY = "SELECT 'x'"; QUERY.replace("x", plate)""",
    ],
)
def test_each_way_into_sql_is_found(line: str) -> None:
    assert "plate" in find_sql_pieces(line)
