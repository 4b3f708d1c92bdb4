"""What docs/install/ shows is what works: each block is parsed, checked or run."""

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import liquid
import msgspec
import pytest

from beacon.script import SNIPPET, Script
from schemas.contract import decode_event
from schemas.settings import parse_settings
from tests.beacon.answers import KEY, SECRET
from tests.beacon.conftest import Server
from tests.install_docs import FENCE, FOLDER, PAGES, TAG, binary, blocks, named_blocks, stored

ORDER = json.loads(blocks("server-orders", "json")[0])["events"][0]
PROGRAMS = {"python": "python3", "js": "node", "php": "php", "ruby": "ruby"}
# By tests/test_docs.py, tests/browser/test_install_pages.py and tests/test_install_proxies.py.
ELSEWHERE = {"sh", "sql", "html", "nginx", "caddyfile", "apache"}
WORDS = {"text", "http"}


def run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60, **options
    )


def each(*languages: str) -> pytest.MarkDecorator:
    found = named_blocks(*languages)
    return pytest.mark.parametrize("block", found.values(), ids=found)


@pytest.fixture(scope="module")
def beacon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A beacon that believes a proxy on this machine."""
    server = Server(tmp_path_factory.mktemp("home"), beacon={"trusted_proxies": ["127.0.0.1/32"]})
    yield server
    server.stop()


def test_every_block_is_looked_at_by_some_test() -> None:
    """A block in a language that nobody checks is a block nobody has tried."""
    shown = {language for page in PAGES for language, _ in FENCE.findall(page.read_text())}

    checked = {"json", "toml", "xml", "liquid", *PROGRAMS}
    assert shown == checked | ELSEWHERE | WORDS


def test_every_page_is_named_on_the_first_one() -> None:
    """A shop system whose page nobody finds is not supported."""
    first = (FOLDER / "README.md").read_text()

    assert all(f"({page.name})" in first for page in PAGES if page.name != "README.md")


def test_tags_are_as_the_command_prints_them() -> None:
    """Who fills in the placeholders by hand gets the tag that `pinsphere snippet` prints."""
    script = Script(SNIPPET.read_bytes())
    text = "".join(page.read_text() for page in [*PAGES, FOLDER.parents[1] / "README.md"])
    shown = {" ".join(tag.split()) for tag in TAG.findall(text)}

    printed = {
        script.tag(f"https://{host}", "YOUR-KEY")
        .replace(script.version, "VERSION")
        .replace(script.integrity, "sha384-HASH")
        for host in ("shop.example", "pins.shop.example")
    }
    assert shown == printed


@each("toml")
def test_settings_are_understood(block: str) -> None:
    """A field that was renamed must not live on in a guide."""
    assert parse_settings(tomllib.loads(block)).sites


@each("json")
def test_events_keep_their_contract(block: str) -> None:
    """An example is what people copy."""
    for event in json.loads(block)["events"]:
        decode_event(msgspec.json.encode(event))


@each("xml")
def test_xml_is_well_formed(block: str) -> None:
    """Magento stops at the first slip."""
    ElementTree.fromstring(block)


@each("liquid")
def test_liquid_is_understood(block: str) -> None:
    """A theme with a slip in it shows an error to every visitor."""
    liquid.parse(block)


@each("php")
def test_php_has_no_slip(tmp_path: Path, block: str) -> None:
    """One in functions.php takes the whole shop down."""
    file = tmp_path / "block.php"
    file.write_text(block)

    checked = run(binary("php"), "-l", file)

    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("language", PROGRAMS)
def test_signing_programs_send_an_order(beacon: Server, tmp_path: Path, language: str) -> None:
    """The one part of an integration that cannot be guessed right."""
    (program,) = blocks("server-orders", language)
    file = tmp_path / f"send.{language}"
    file.write_text(aimed_at(beacon, program))
    before = len(stored(beacon.spool))

    sent = run(binary(PROGRAMS[language]), file, env=shop_environment())

    assert sent.stdout.strip() == "204", sent.stdout + sent.stderr
    (event,) = stored(beacon.spool)[before:]
    same = ("event_name", "event_id", "event_time_ms", "order_id", "currency", "items")
    assert {name: event[name] for name in same} == {name: ORDER[name] for name in same}
    assert event["visitor_id"] == "xmUMS1Jn5sBQ4_xX0-ATxg"
    assert event["is_signed"]


def test_a_program_with_another_secret_is_refused(beacon: Server, tmp_path: Path) -> None:
    """The control: the 204 above is the signature's doing."""
    file = tmp_path / "send.py"
    file.write_text(aimed_at(beacon, blocks("server-orders", "python")[0]))

    sent = run(binary("python3"), file, env={**shop_environment(), "PINSPHERE_SECRET_ACME": "x"})

    assert sent.returncode != 0
    assert "401" in sent.stderr


def test_the_magento_observer_signs_as_it_should(beacon: Server, tmp_path: Path) -> None:
    """Its signing runs here without Magento: the rest of the class is a shell around it."""
    (observer,) = blocks("magento", "php")
    frame = r"^use .*\n|^declare.*\n|^namespace.*\n| implements \w+"
    bare = re.sub(frame, "", observer, flags=re.MULTILINE)
    file = tmp_path / "send.php"
    event = json.dumps({**ORDER, "event_id": "order-magento"})
    file.write_text(
        aimed_at(beacon, bare) + f"\necho SendOrder::send([json_decode('{event}', true)]);\n"
    )

    sent = run(binary("php"), file, env=shop_environment())

    assert sent.stdout.strip() == "204", sent.stdout
    assert stored(beacon.spool)[-1]["event_id"] == "order-magento"


def aimed_at(server: Server, program: str) -> str:
    return program.replace("https://shop.example", f"http://127.0.0.1:{server.port}").replace(
        "YOUR-KEY", KEY
    )


def shop_environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PINSPHERE_SECRET_ACME": SECRET}
