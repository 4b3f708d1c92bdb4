"""The house rules that no linter knows: what the README promises, what is packaged, what hides."""

import ast
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
PACKAGES = SETUPTOOLS["packages"]
TOP_LEVEL = ("beacon", "console", "pipelines", "schemas")
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = re.findall(r"^([a-z]+):.*## ", MAKEFILE, re.MULTILINE)
MAX_LINES = 500
# In pieces, so that this file does not hold what it forbids.
FORBIDDEN = [
    *("pypi" + ".org", "python" + "hosted.org", "registry" + ".npmjs", "repo1.maven" + ".org"),
    *("deb.debian" + ".org", "proxy.golang" + ".org", "index-" + "url"),
    *("/wo" + "rk/", "/ro" + "ot/"),
]


def modules():
    """Every Python file that is ours, tests included."""
    folders = (*TOP_LEVEL, "benchmarks", "docs", "examples", "tests")
    return sorted(
        [*ROOT.glob("*.py"), *(path for name in folders for path in (ROOT / name).rglob("*.py"))]
    )


def fenced_blocks(markdown):
    return re.findall(r"^```[^\n]*\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL)


def make_calls(blocks):
    return re.findall(r"^\s*(?:\$ )?make ([a-z]+)", "\n".join(blocks), re.MULTILINE)


def test_the_readme_starts_with_make_demo_and_make_test():
    """A newcomer types the first lines she sees; they must be real."""
    blocks = fenced_blocks((ROOT / "README.md").read_text())

    assert {"demo", "test"} <= set(make_calls(blocks[:2]))
    assert set(make_calls(blocks)) <= set(TARGETS)


def test_the_contributing_guide_names_real_targets():
    """A contributor's first commands work."""
    blocks = fenced_blocks((ROOT / "CONTRIBUTING.md").read_text())

    assert {"setup", "check"} <= set(make_calls(blocks)) <= set(TARGETS)


def test_make_help_lists_every_target_and_they_stay_few():
    """What is not in the list does not exist for a newcomer."""
    answer = subprocess.run(
        ["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout

    assert re.findall(r"^  make ([a-z]+) ", answer, re.MULTILINE) == TARGETS
    assert f".PHONY: {' '.join(TARGETS)}\n" in MAKEFILE
    assert len(TARGETS) < 15


def test_every_package_is_listed_and_every_listed_one_is_there():
    """An unlisted package works in the tree and is missing from the wheel."""
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for name in TOP_LEVEL
        for path in (ROOT / name).rglob("*.py")
    }

    assert sorted(found) == sorted(PACKAGES)
    assert all((ROOT / f"{name}.py").is_file() for name in SETUPTOOLS["py-modules"])


def test_every_package_data_pattern_finds_a_file():
    """A page script that is not in the wheel is a shop without buttons."""
    patterns = [
        (package, pattern)
        for package, each in SETUPTOOLS.get("package-data", {}).items()
        for pattern in each
    ]

    assert patterns
    for package, pattern in patterns:
        assert list((ROOT / package.replace(".", "/")).glob(pattern)), (package, pattern)


def test_init_files_hold_a_docstring_only():
    """Importing `schemas.events` must never load SQLAlchemy by the way."""
    for path in modules():
        if path.name == "__init__.py":
            tree = ast.parse(path.read_text())
            assert ast.get_docstring(tree), path
            assert len(tree.body) == 1, path


def test_no_package_leans_on_the_front_door():
    """A flow that calls a command could be called by no other program."""
    doors = set(SETUPTOOLS["py-modules"])
    for path in modules():
        if path.parent != ROOT and path.relative_to(ROOT).parts[0] in TOP_LEVEL:
            imports = re.findall(r"^ *(?:from|import) (\w+)", path.read_text(), re.MULTILINE)
            assert not doors & set(imports), path


def test_modules_stay_under_500_lines():
    """A module is read in one sitting."""
    too_long = {
        str(path.relative_to(ROOT)): lines
        for path in modules()
        # A migration is a list of columns, written by a tool and read by none.
        if path.parent.name != "versions"
        and (lines := len(path.read_text().splitlines())) >= MAX_LINES
    }

    assert not too_long


def test_no_file_names_a_registry_or_a_path_of_one_machine():
    """Packages come from wherever the machine's own settings say."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    patterns = [part for text in FORBIDDEN for part in ("-e", text)]
    found = subprocess.run(
        ["git", "grep", "-nIF", "--untracked", *patterns],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )

    assert found.returncode == 1, found.stdout + found.stderr


def test_constraints_pin_one_version_each():
    """A locked install is the same install next year."""
    lines = [
        line.split(" ;")[0]
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    ]
    pinned = [re.fullmatch(r"([a-z0-9-]+)==([A-Za-z0-9.]+)", line) for line in lines]

    assert all(pinned)
    names = [match[1] for match in pinned if match]
    assert len(names) == len(set(names))
    assert {"apache-beam", "pip", "pytest", "setuptools"} <= set(names)
