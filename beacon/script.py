"""The snippet as served: the current one and those that pages in the field still ask for.

A page that carries a snippet's hash runs these bytes and no others. So each snippet that a
beacon has served stays in its home, and an upgrade stops no page.
"""

import base64
import contextlib
import gzip
import hashlib
import html
import re
import urllib.parse
from pathlib import Path
from typing import NamedTuple

import brotli

from schemas.durable import DurableFolder
from schemas.errors import UsageError

SNIPPET = Path(__file__).parent / "snippet" / "pin.min.js"
_VERSION = re.compile(r"[0-9a-f]{20}")


class Variant(NamedTuple):
    """The snippet in one content encoding ("" is identity)."""

    encoding: str
    etag: str
    body: bytes


class Script:
    """One version of `pin.js`, ready to send; `version` names its bytes."""

    def __init__(self, text: bytes) -> None:
        digest = hashlib.sha384(text)
        self.text = text
        self.version = digest.hexdigest()[:20]
        self.integrity = f"sha384-{base64.b64encode(digest.digest()).decode()}"
        self._variants = {
            encoding: Variant(encoding, f'"{self.version}{"-" * bool(encoding)}{encoding}"', body)
            for encoding, body in (
                ("br", brotli.compress(text, quality=11)),
                # A fixed time keeps the bytes equal on all workers, as their ETag says.
                ("gzip", gzip.compress(text, 9, mtime=0)),
                ("", text),
            )
        }

    def variant(self, accept_encoding: str) -> Variant:
        """The smallest variant that an `Accept-Encoding` header allows."""
        accepted = _accepted(accept_encoding)
        return next(self._variants[name] for name in ("br", "gzip", "") if name in accepted)

    def tag(self, beacon_url: str, site_key: str) -> str:
        """The HTML to paste; `beacon_url` is where a site's pages reach the beacon."""
        source = f"{beacon_url.rstrip('/')}/pin.js?v={self.version}"
        return (
            f'<script async src="{html.escape(source)}" integrity="{self.integrity}"'
            f' crossorigin="anonymous" data-site-key="{html.escape(site_key)}"></script>'
        )


def check_beacon_url(url: str) -> None:
    """Raises a UsageError when no page could reach a beacon there."""
    try:
        parts = urllib.parse.urlsplit(url)
        is_right = parts.scheme in ("http", "https") and (parts.port or 1) and parts.hostname
    except ValueError:  # a port or an IPv6 address that is none
        is_right = None
    if not is_right or not re.fullmatch(r"https?://[^/?#@\s]+/?", url):
        raise UsageError(f"--beacon-url {url!r} is not http(s)://host[:port], without a path")


def current_script() -> Script:
    """The snippet of this release."""
    return Script(SNIPPET.read_bytes())


class Scripts:
    """The snippets of one home: the current one, which it keeps, and all it has kept."""

    def __init__(self, folder: Path, current: Path = SNIPPET) -> None:
        self.current = Script(current.read_bytes())
        self._folder = folder
        self._loaded = {self.current.version: self.current}
        self._keep()

    def find(self, version: str) -> Script | None:
        """The snippet of that version, None where it was never served."""
        if version not in self._loaded and _VERSION.fullmatch(version):
            path = self._path(version)
            # Another release may have kept it since this one started.
            script = Script(path.read_bytes()) if path.exists() else None
            # Of a file that was changed no page would run a byte.
            if script is not None and script.version == version:
                self._loaded[version] = script
        return self._loaded.get(version)

    def _keep(self) -> None:
        path = self._path(self.current.version)
        # A full disk keeps no beacon from answering; the next start tries again.
        with contextlib.suppress(OSError):
            if not path.exists():
                with DurableFolder(self._folder) as folder:
                    folder.place(path, lambda file: file.write(self.current.text))

    def _path(self, version: str) -> Path:
        return self._folder / f"{version}.js"


def is_match(if_none_match: str, etag: str) -> bool:
    """Whether an `If-None-Match` header names the ETag (weak comparison)."""
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or "*" in tags


def _accepted(header: str) -> set[str]:
    names = {""}
    for part in header.lower().split(","):
        name, _, parameters = part.partition(";")
        weight = parameters.replace(" ", "").removeprefix("q=")
        if not weight or weight.strip("0."):
            names.add(name.strip())
    return names
