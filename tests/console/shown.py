"""What a page of the console says, read off its HTML, and rows read off its files."""

import csv
import html
import io
import re
from typing import Any

from starlette.testclient import TestClient


def value(page: str, label: str) -> str:
    """What a figure says to machines."""
    found = re.search(rf"<dt>{label}</dt>.*?<data value=\"([^\"]*)\"", page, re.DOTALL)
    assert found, label
    return found[1]


def rows(console: TestClient, question: str, **choices: str) -> list[dict[str, str]]:
    """The rows behind a figure, as its CSV has them."""
    answer = console.get(f"/rows/{question}.csv", params={"site": "acme", **choices})
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"), newline="")))


def links(page: str, text: str) -> list[str]:
    """Where links with such a text lead."""
    return [
        html.unescape(target)
        for target, shown in re.findall(r'<a [^>]*?href="([^"]*)"[^>]*>([^<]*)</a>', page)
        if html.unescape(shown).strip() == text
    ]


def micros(row: dict[str, Any], column: str) -> int:
    """An amount of a CSV, exactly."""
    whole, _, decimals = row[column].lstrip("-").partition(".")
    amount = int(whole) * 1_000_000 + int(decimals.ljust(6, "0"))
    return -amount if row[column].startswith("-") else amount
