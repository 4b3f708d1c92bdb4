"""The fenced blocks of docs/install/, and what the tests that run them share."""

import contextlib
import os
import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests import services
from tests.spooled import events_in

FOLDER = Path(__file__).parents[1] / "docs" / "install"
PAGES = sorted(FOLDER.glob("*.md"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TAG = re.compile(r"<script async src=[^>]*></script>")


def blocks(page: str, *languages: str) -> list[str]:
    """The blocks of a page in these languages, in their order."""
    text = (FOLDER / f"{page}.md").read_text()
    return [block for language, block in FENCE.findall(text) if language in languages]


def named_blocks(*languages: str) -> dict[str, str]:
    """The blocks of all pages in these languages, by page and place."""
    return {
        f"{page.stem}-{place}": block
        for page in PAGES
        for place, block in enumerate(blocks(page.stem, *languages))
    }


def binary(name: str) -> str:
    """A program's path; the test is skipped where it is not installed."""
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if path is None:
        pytest.skip(f"{services.OPTIONAL}{name} is not installed")
    return path


def stored(spool: Path) -> list[dict[str, Any]]:
    """All events of a spool, as they came."""
    events: list[dict[str, Any]] = []
    for path in sorted(spool.glob("*.spool")):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            for (row,) in connection.execute("SELECT events FROM requests ORDER BY seq"):
                events += events_in(row)
    return events
