"""The report: one file, the console's figures, nothing that needs a network."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import pinsphere
from console.contents import PAGES
from console.rendering import STATIC
from schemas.home import Home

FIGURE = re.compile(
    r"<dt>([^<]+)</dt>\s*<dd class=\"value\">.*?<data value=\"([^\"]+)\"", re.DOTALL
)
VENDORS = (STATIC / "vendor", Path(__file__).parents[1] / "browser" / "vendor")
VENDORED = [
    (folder, each)
    for folder in VENDORS
    for each in json.loads((folder / "manifest.json").read_text())
]


class Tags(HTMLParser):
    """Every tag, and the text within style and script."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []
        self.is_inline = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes the tag."""
        self.tags.append((tag, dict(attrs)))
        is_data = ("type", "application/json") in attrs
        self.is_inline = tag in {"style", "script"} and not is_data

    def handle_endtag(self, _tag: str) -> None:
        """Notes that it ends."""
        self.is_inline = False

    def handle_data(self, data: str) -> None:
        """Notes what is between the tags of style and script."""
        if self.is_inline:
            self.inline.append(data)


def write(home: Home, folder: Path) -> str:
    """The report as the command writes it."""
    path = folder / "report.html"
    pinsphere.main(["report", "--home", str(home.path), "--out", str(path), "--site", "acme"])
    assert [file.name for file in folder.iterdir()] == ["report.html"]
    return path.read_text()


@pytest.fixture(scope="module")
def report(known_home: Home, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The known shop's."""
    return write(known_home, tmp_path_factory.mktemp("report"))


def test_the_report_tells_what_the_console_tells(
    console: TestClient, console_home: Home, tmp_path: Path
) -> None:
    """A board paper and the screen must agree."""
    told = FIGURE.findall(console.get("/", params={"site": "acme"}).text)

    assert len(told) >= 8
    assert set(told) <= set(FIGURE.findall(write(console_home, tmp_path)))


def test_the_report_has_every_page_that_needs_no_key(report: str) -> None:
    """Nobody prints twelve pages by hand."""
    titles = re.findall(r"<h1>([^<]+)</h1>", report)

    assert len(titles) - 1 >= len([entry for entry in PAGES if not entry.key])


def test_the_report_asks_for_nothing(report: str) -> None:
    """It is opened from a mail, on a train."""
    page = Tags()
    page.feed(report)

    for tag, attributes in page.tags:
        links = [attributes.get(name) or "" for name in ("href", "src", "action", "srcset")]
        assert all(link.startswith(("#", "data:")) for link in links if link), (tag, attributes)


def test_the_report_may_run_its_own_scripts_and_no_other(report: str) -> None:
    """A name with a script in it stays a name there, too."""
    page = Tags()
    page.feed(report)
    policy = next(each["content"] or "" for _, each in page.tags if "http-equiv" in each)

    assert len(page.inline) == 3
    for text in page.inline:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; ")


def test_the_report_shows_the_sql_behind_each_figure(report: str) -> None:
    """A figure nobody can check is an opinion."""
    targets = set(re.findall(r'href="#([a-z_]+)"', report)) - {"main"}

    assert {"overview_sales", "products"} <= targets
    assert targets <= set(re.findall(r'<details id="([a-z_]+)"', report))


@pytest.mark.parametrize(("folder", "vendored"), VENDORED)
def test_what_is_vendored_is_what_its_manifest_says(folder: Path, vendored: dict[str, Any]) -> None:
    """Nobody changes a line of it unseen, and its licence goes with it."""
    content = (folder / str(vendored["file"])).read_bytes()

    assert hashlib.sha256(content).hexdigest() == vendored["sha256"]
    assert b"sourceMappingURL" not in content
    for notice in vendored["notices"]:
        assert (folder / notice).stat().st_size > 100


def test_what_the_report_carries_within_does_not_end_its_script() -> None:
    """The rest of it would stand on the page as text."""
    assert b"</script" not in (STATIC / "vendor" / "echarts.min.js").read_bytes().lower()


@pytest.mark.parametrize("folder", VENDORS)
def test_every_vendored_file_is_in_the_manifest(folder: Path) -> None:
    """A file of unknown origin is a risk of unknown size."""
    listed = [each for place, each in VENDORED if place == folder]
    named = {name for each in listed for name in (each["file"], *each["notices"])}

    assert {path.name for path in folder.iterdir()} == named | {"manifest.json"}
