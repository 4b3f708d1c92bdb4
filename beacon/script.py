"""The snippet as served: stripped and compressed once at start, one ETag for each encoding."""

import gzip
import hashlib
from pathlib import Path
from typing import NamedTuple

import brotli
import rjsmin  # type: ignore[import-untyped]

SNIPPET = Path(__file__).parent / "snippet" / "pin.js"


class Variant(NamedTuple):
    """The snippet in one content encoding ("" is identity)."""

    encoding: str
    etag: str
    body: bytes


class Script:
    """`pin.js`, ready to send: without its comments and the white space that says nothing."""

    def __init__(self, source: bytes) -> None:
        text = rjsmin.jsmin(source.decode()).encode()
        digest = hashlib.sha256(text).hexdigest()[:20]
        self._variants = {
            encoding: Variant(encoding, f'"{digest}{"-" * bool(encoding)}{encoding}"', body)
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
