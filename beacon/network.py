"""Where a request comes from: the sender's address behind proxies, her network, its daily name.

An address names a person's household, so it is never written anywhere: what is limited is
the network around it (a /24 or /48), and what is kept is a keyed hash of that network. The
key is random and lives for one UTC day; with it goes the only way to try all networks
against yesterday's hashes.
"""

import base64
import contextlib
import fcntl
import functools
import hashlib
import ipaddress
import os
import re
import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import msgspec

from beacon.wire import UNREADABLE, Refusal, Request

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DAY_MS = 86_400_000
KEY_BYTES = 32
RETRY_SECONDS = 1.0
# Bounds the memory that many senders can take: 10 MB, if all send long headers.
_REMEMBERED = 16_384
# More hops than this come from nobody's proxies.
_MAX_FORWARDED = 512
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d{1,5})?|([\d.]+):\d{1,5}", re.ASCII)
# No visitor comes from these: a proxy that nobody named does, for all visitors at once.
_LOCAL = tuple(
    map(
        ipaddress.ip_network,
        (
            *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
            *("169.254.0.0/16", "0.0.0.0/8", "::/127", "fc00::/7", "fe80::/10"),
        ),
    )
)


class Proxies:
    """The proxies whose word about a sender is believed; nobody else's is."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._trusted = tuple(map(ipaddress.ip_network, trusted))
        self._find = functools.lru_cache(maxsize=_REMEMBERED)(self._find_network)
        self._trusts = functools.lru_cache(maxsize=_REMEMBERED)(self._trusts_peer)

    def network(self, request: Request) -> str | None:
        """The sender's /24 or /48; None when her address is not known.

        It is not known for a peer without an address (a Unix socket), and for a local one
        that is not on the list: most likely a proxy, who would stand for every visitor.

        Raises:
          Refusal: 400, when what she wrote hides what the proxy added.
        """
        peer = request.peer
        forwarded = request.lines("x-forwarded-for") if self._trusts(peer) else ""
        if forwarded == UNREADABLE:
            raise Refusal(400, "x-forwarded-for has bytes beyond ASCII")
        return self._find(peer, forwarded[-_MAX_FORWARDED:])

    def scheme(self, request: Request) -> str:
        """`http` or `https`, as the sender sees it."""
        if self._trusts(request.peer):
            said = request.header("x-forwarded-proto").rpartition(",")[2].strip().lower()
            if said in ("http", "https"):
                return said
        return "http"

    @staticmethod
    def is_inside(request: Request) -> bool:
        """Whether a request comes from this machine or a private network, and by no proxy."""
        address = parse_address(request.peer)
        is_direct = not request.lines("x-forwarded-for")
        return is_direct and address is not None and _is_local(address)

    def _trusts_peer(self, peer: str) -> bool:
        address = parse_address(peer)
        return address is not None and self._is_trusted(address)

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)

    def _find_network(self, peer: str, forwarded: str) -> str | None:
        sender = parse_address(peer)
        if sender is None:
            return None
        # From the right: each trusted hop wrote down whom it heard from. What stands further
        # left of the first hop that is not ours was written by the sender herself.
        hops = forwarded.split(",") if forwarded else []
        if len(forwarded) == _MAX_FORWARDED:
            del hops[0]  # cut in two
        while hops and self._is_trusted(sender):
            hop = parse_address(hops.pop())
            if hop is None:
                break
            sender = hop
        if self._is_trusted(sender) or _is_local(sender):
            return None
        return str(around(sender))


def parse_address(text: str) -> Address | None:
    """An address as proxies write it: with a port, in brackets, with a zone; None if it is none.

    An IPv4 address in IPv6 clothes is the IPv4 address.
    """
    bare = text.strip()
    if found := _WITH_PORT.fullmatch(bare):
        bare = found[1] or found[2] or ""
    try:
        address = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_local(address: Address) -> bool:
    return any(address in network for network in _LOCAL)


def around(address: Address) -> Network:
    """The /24 of an IPv4 address, the /48 of another: about one household to one office."""
    return ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False)


class _Kept(msgspec.Struct):
    """The key file: whose day it is, in days since 1970 (UTC), and the key."""

    day: int
    key: bytes


class DailyNames:
    """Names of networks that can be compared within one site and UTC day, and never undone.

    The workers of a home share the key through one file, overwritten when the day changes.
    While it cannot be read or written, networks have no names; events are taken all the same.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._day = -1
        self._key = b""
        self._retry_at = float("-inf")
        self._named = functools.lru_cache(maxsize=_REMEMBERED)(self._hash)

    def name(self, site_id: str, network: str | None, now_ms: int) -> str | None:
        """16 URL-safe characters for a network; None when it, or today's key, is not known."""
        if network is None:
            return None
        day = now_ms // DAY_MS
        if day > self._day or not self._key:
            self._renew(day)
        return self._named(site_id, network) if self._key else None

    def _renew(self, day: int) -> None:
        if time.monotonic() < self._retry_at:
            return
        self._key = b""  # yesterday's is never used again, whatever becomes of today's
        self._named.cache_clear()
        try:
            kept = _share_key(self._file, day)
        except OSError:  # no right to write, a full disk, or another worker is just at it
            self._retry_at = time.monotonic() + RETRY_SECONDS
            return
        self._day, self._key = kept.day, kept.key

    def _hash(self, site_id: str, network: str) -> str:
        digest = hashlib.blake2b(f"{site_id} {network}".encode(), key=self._key, digest_size=12)
        return base64.urlsafe_b64encode(digest.digest()).decode()


def _share_key(path: Path, day: int) -> _Kept:
    """The key of a day: the one another worker has written, else a new one in its place."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.fchmod(handle, 0o600)
        kept = _read_key(file)
        # A clock may run a little ahead of another; a key from further ahead is a mistake.
        if kept is None or not day <= kept.day <= day + 1:
            kept = _Kept(day, secrets.token_bytes(KEY_BYTES))
            # In place: a renamed-over file would leave yesterday's key in freed blocks.
            file.seek(0)
            file.write(msgspec.json.encode(kept))
            file.truncate()
    return kept


def _read_key(file: IO[bytes]) -> _Kept | None:
    with contextlib.suppress(msgspec.DecodeError):
        kept = msgspec.json.decode(file.read(), type=_Kept)
        if len(kept.key) == KEY_BYTES:
            return kept
    return None
