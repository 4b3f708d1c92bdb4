"""The snippet's file and its versions: built once, small, and served for as long as pages ask."""

import base64
import gzip
import hashlib

import brotli
import pytest

from beacon.minify import PARTS, build_snippet
from beacon.script import SNIPPET, Script, Scripts, current_script, is_match

OLD = b"window.old = 1"


def test_the_committed_snippet_is_what_its_parts_make():
    """A part that was edited without `make docs` would never reach a shop."""
    assert build_snippet() == build_snippet() == SNIPPET.read_text(encoding="utf-8")


def test_every_part_is_built_in():
    """A forgotten part is a feature that only its tests have."""
    files = {path.stem for path in SNIPPET.parent.glob("*.js")} - {"pin.min"}

    assert files == set(PARTS)


def test_the_snippet_stays_small():
    """Every page of every shop pays for it; why this much: docs/adr/0007."""
    served = current_script()

    assert len(served.variant("gzip").body) <= 3_072
    assert len(served.variant("br").body) <= 3_072


def test_the_page_tells_the_size_as_it_is():
    """A figure that nobody checks is the figure of some other year."""
    page = (SNIPPET.parents[2] / "docs" / "snippet.md").read_text(encoding="utf-8")

    assert f"{len(current_script().variant('br').body):,} bytes by brotli" in page


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("br; q=0.000, gzip;q=0.0", ""),
        ("identity", ""),
        ("", ""),
    ],
)
def test_the_snippet_comes_in_the_encoding_asked_for(accept: str, encoding: str):
    """All encodings unpack to one text; each has an ETag of its own."""
    text = b"var a=1;" * 50
    unpack = {"br": brotli.decompress, "gzip": gzip.decompress, "": bytes}

    variant = Script(text).variant(accept)

    assert variant.encoding == encoding
    assert unpack[encoding](variant.body) == text
    assert is_match(f'"x", W/{variant.etag}', variant.etag)
    assert is_match("*", variant.etag)
    assert not is_match('"x"', variant.etag)
    assert not is_match("", variant.etag)


def test_the_tag_names_the_bytes_that_it_trusts():
    """What stands in the page decides what may run there."""
    script = Script(OLD)
    digest = hashlib.sha384(OLD)

    assert script.tag("https://pins.example/", 'k"1') == (
        f'<script async src="https://pins.example/pin.js?v={digest.hexdigest()[:20]}"'
        f' integrity="sha384-{base64.b64encode(digest.digest()).decode()}"'
        ' crossorigin="anonymous" data-site-key="k&quot;1"></script>'
    )


@pytest.fixture
def after_an_upgrade(tmp_path):
    """A home whose beacon served another snippet, and the version of that."""
    release = tmp_path / "old.js"
    release.write_bytes(OLD)
    old = Scripts(tmp_path / "snippets", release).current
    return tmp_path / "snippets", old.version


def test_an_upgrade_keeps_what_was_served(after_an_upgrade):
    """The pages that bear the old hash are still there."""
    folder, version = after_an_upgrade

    scripts = Scripts(folder)

    kept = scripts.find(version)
    assert kept is not None
    assert kept.text == OLD
    assert scripts.find(scripts.current.version) is scripts.current
    assert sorted(path.stem for path in folder.iterdir()) == sorted(
        [version, scripts.current.version]
    )


def test_a_snippet_that_came_later_is_found(after_an_upgrade):
    """Two releases share a home while one takes over from the other."""
    folder, _ = after_an_upgrade
    running = Scripts(folder)
    release = folder.parent / "new.js"
    release.write_bytes(b"window.next = 1")

    new = Scripts(folder, release).current

    found = running.find(new.version)
    assert found is not None
    assert found.text == new.text


@pytest.mark.parametrize("version", ["0" * 20, "../../pinsphere", "", "a", "0" * 21, "A" * 20])
def test_what_was_never_served_is_not_found(after_an_upgrade, version):
    """No name leads out of the folder."""
    assert Scripts(after_an_upgrade[0]).find(version) is None


def test_a_kept_file_that_was_changed_is_not_served(after_an_upgrade):
    """No page would run it: its hash is another."""
    folder, version = after_an_upgrade
    (folder / f"{version}.js").write_bytes(b"alert(1)")

    assert Scripts(folder).find(version) is None


def test_a_folder_that_cannot_be_written_stops_no_beacon(tmp_path):
    """The snippet is served from memory; the next start tries again."""
    (tmp_path / "snippets").write_text("a file is in the way")

    scripts = Scripts(tmp_path / "snippets")

    assert scripts.find(scripts.current.version) is scripts.current


def test_what_only_people_read_is_not_served():
    """Comments and long names stay here, and no other host is named."""
    text = SNIPPET.read_text(encoding="utf-8")

    assert "Clicks that pin" not in text
    assert "tagLink" not in text
    assert "http" not in text
