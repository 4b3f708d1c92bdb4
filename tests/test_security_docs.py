"""`docs/security.md` against the tests it names: a threat without a living proof is a wish."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text()
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows(page: str) -> list[list[str]]:
    """Cells of the tables' rows, without their heads."""
    lines = [line for line in page.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] != "threat" and set(row[0]) != {"-"}]


def gaps(page: str) -> list[str]:
    """Rows without a test, and tests that are not there."""
    found = [row[0] for row in rows(page) if len(row) != 3 or not NAMED.search(row[2])]
    for path, name in NAMED.findall(page):
        file = ROOT / path
        tree = ast.parse(file.read_text()) if file.exists() else ast.Module([], [])
        functions = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        if name not in functions:
            found.append(f"{path}::{name}")
    return found


def test_every_threat_has_a_test_that_is_there() -> None:
    """Who trusts the page must be able to run it."""
    assert len(rows(PAGE)) >= 40
    assert gaps(PAGE) == []


@pytest.mark.parametrize(
    "row",
    [
        "| a threat | an answer | |",
        "| a threat | an answer | `tests/test_house.py::test_that_nobody_wrote` |",
        "| a threat | an answer | `tests/test_nothing.py::test_nothing` |",
    ],
)
def test_the_control_a_row_without_its_test_is_found(row: str) -> None:
    """A check that finds nothing would pass on an empty promise, too."""
    assert gaps(f"{PAGE}\n{row}\n")


def test_every_hardening_test_stands_on_the_page() -> None:
    """A file of proofs nobody reads about is a file somebody deletes."""
    files = {path.name for path in (ROOT / "tests" / "beacon").glob("test_hardening_*.py")}

    assert files == {name for name in files if f"tests/beacon/{name}::" in PAGE}


def test_what_remains_open_is_said() -> None:
    """A page without gaps is a page without honesty."""
    assert PAGE.partition("## What remains open")[2].count("\n- **") >= 5
