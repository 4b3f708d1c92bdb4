"""Whose address counts behind proxies, and the daily name that is kept instead of it."""

import hashlib
import ipaddress
import stat
import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from beacon import network
from beacon.network import DAY_MS, DailyNames, Proxies, parse_address
from beacon.wire import Refusal, Request
from schemas.errors import SettingsError
from schemas.settings import parse_settings
from tests.beacon import exchange

TRUSTED = ["10.0.0.0/8", "192.0.2.7", "2001:db8:ffff::/48"]
MONDAY = 20_000
MONDAY_MS = MONDAY * DAY_MS


def request(peer: str, *forwarded: str, proto: str = "") -> Request:
    """A request as it comes from a peer; each `forwarded` is one header line."""
    lines = [("host", "beacon"), *(("x-forwarded-for", line) for line in forwarded)]
    if proto:
        lines.append(("x-forwarded-proto", proto))
    return exchange.request(lines, peer=peer)


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        pytest.param("203.0.113.9", [], "203.0.113.0/24", id="direct"),
        pytest.param("2001:db8:1:2::3", [], "2001:db8:1::/48", id="direct IPv6"),
        pytest.param("::ffff:203.0.113.9", [], "203.0.113.0/24", id="IPv4 in IPv6"),
        pytest.param("203.0.113.9", ["198.51.100.1"], "203.0.113.0/24", id="not a proxy"),
        pytest.param("10.0.0.1", ["198.51.100.1"], "198.51.100.0/24", id="one proxy"),
        pytest.param("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.0/24", id="mapped proxy"),
        pytest.param("10.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.0/24", id="spoofed"),
        pytest.param("10.0.0.1", ["10.9.9.9, 198.51.100.1"], "198.51.100.0/24", id="spoofed hop"),
        pytest.param("10.0.0.1", ["198.51.100.1, 192.0.2.7"], "198.51.100.0/24", id="two hops"),
        pytest.param("10.0.0.1", ["198.51.100.1", "192.0.2.7"], "198.51.100.0/24", id="two lines"),
        pytest.param("10.0.0.1", ["6.6.6.6", "198.51.100.1"], "198.51.100.0/24", id="line on top"),
        pytest.param("10.0.0.1", ["6.6.6.6, oops, 192.0.2.7"], None, id="malformed ends the walk"),
        pytest.param("10.0.0.1", ["6.6.6.6, "], None, id="empty ends the walk"),
        pytest.param("10.0.0.1", ["unknown"], None, id="obfuscated"),
        pytest.param("10.0.0.1", ["10.0.0.2"], None, id="trusted all the way"),
        pytest.param("10.0.0.1", [], None, id="the proxy itself"),
        pytest.param("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.0/24", id="port"),
        pytest.param("10.0.0.1", ["[2001:db8:1::3]:4711"], "2001:db8:1::/48", id="bracket, port"),
        pytest.param("10.0.0.1", ["[2001:db8:1::3]"], "2001:db8:1::/48", id="brackets"),
        pytest.param("10.0.0.1", ["2001:db8:1::3%eth0"], "2001:db8:1::/48", id="zone"),
        pytest.param("10.0.0.1", ["192.168.1.5"], None, id="private sender"),
        pytest.param("2001:db8:ffff::1", ["198.51.100.1"], "198.51.100.0/24", id="IPv6 proxy"),
        pytest.param("127.0.0.1", ["198.51.100.1"], None, id="a proxy nobody named"),
        pytest.param("172.16.0.1", [], None, id="a private peer"),
        pytest.param("::1", [], None, id="loopback"),
        pytest.param("", ["198.51.100.1"], None, id="Unix socket"),
        pytest.param("10.0.0.1", ["\xff", "198.51.100.1"], "198.51.100.0/24", id="not ASCII"),
        pytest.param("10.0.0.1", ["6.6.6.6," * 500 + "198.51.100.1"], "198.51.100.0/24", id="long"),
        pytest.param("10.0.0.1", ["6.6.6.6" + ",10.0.0.2" * 500], None, id="endless hops"),
    ],
)
def test_the_sender_is_the_first_hop_from_the_right_that_is_no_proxy_of_ours(
    peer: str, forwarded: list[str], expected: str | None
) -> None:
    """Who writes her own X-Forwarded-For would choose whom the limits hit."""
    assert Proxies(TRUSTED).network(request(peer, *forwarded)) == expected


def test_an_address_line_that_cannot_be_read_is_refused() -> None:
    """Bytes beyond ASCII would hide what the proxy wrote behind them, and so the flood."""
    with pytest.raises(Refusal, match="x-forwarded-for"):
        Proxies(TRUSTED).network(request("10.0.0.1", "\xff, 198.51.100.1"))


def test_without_trusted_proxies_nobody_is_believed() -> None:
    """The default must be safe on the open internet."""
    assert Proxies(()).network(request("203.0.113.9", "6.6.6.6")) == "203.0.113.0/24"


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "1.2.3.4:x", "01.2.3.4"),
        *("256.1.1.1", "[]", "[", "[::1", "::1]", "[1.2.3.4", "1.2.3.4:", "-", "\xb9.2.3.4"),
        *("1.2.3.4 5", "a" * 600),
    ],
)
def test_what_is_no_address_is_none(text: str) -> None:
    """A crash on a header would be a shop without a beacon."""
    assert parse_address(text) is None


@pytest.mark.parametrize(
    ("peer", "proto", "expected"),
    [
        ("10.0.0.1", "https", "https"),
        ("10.0.0.1", "http, HTTPS", "https"),
        ("10.0.0.1", "gopher", "http"),
        ("10.0.0.1", "", "http"),
        ("203.0.113.9", "https", "http"),
    ],
)
def test_only_a_trusted_proxy_tells_the_scheme(peer: str, proto: str, expected: str) -> None:
    """A cookie marked Secure on plain HTTP would never come back; one that is not, leaks."""
    assert Proxies(TRUSTED).scheme(request(peer, proto=proto)) == expected


def test_memory_stays_bounded_whatever_addresses_come() -> None:
    """A sender with a whole /32 of IPv6 must not fill the memory."""
    proxies = Proxies(TRUSTED)

    for number in range(network._REMEMBERED + 500):
        proxies.network(request("10.0.0.1", str(ipaddress.IPv6Address(2**125 + number))))

    assert proxies._find.cache_info().currsize == network._REMEMBERED


@pytest.mark.parametrize(
    ("proxy", "reason"),
    [
        ("10.0.0.300", "no address and no network"),
        ("10.0.0.1/8", "has host bits set"),
        ("proxy.internal", "no address and no network"),
        ("0.0.0.0/0", "would believe everybody"),
        ("::/0", "would believe everybody"),
    ],
)
def test_a_wrong_proxy_is_refused_at_start(proxy: str, reason: str) -> None:
    """A typing error here would open the limits, or close them for everybody."""
    with pytest.raises(SettingsError, match=reason) as caught:
        parse_settings(tomllib.loads(f'[beacon]\ntrusted_proxies = ["{proxy}"]'))

    assert proxy in str(caught.value)


def test_a_name_is_the_same_all_day_and_another_the_next(tmp_path: Path) -> None:
    """Comparable within a day is what it is for; beyond, it would follow a household."""
    names = DailyNames(tmp_path / "network.key")

    monday = names.name("acme", "203.0.113.0/24", MONDAY_MS)
    evening = names.name("acme", "203.0.113.0/24", MONDAY_MS + DAY_MS - 1)
    tuesday = names.name("acme", "203.0.113.0/24", MONDAY_MS + DAY_MS)

    assert monday == evening != tuesday
    assert monday is not None
    assert len(monday) == 16
    assert monday.replace("-", "").replace("_", "").isalnum()


def test_names_differ_by_site_and_by_network(tmp_path: Path) -> None:
    """Two shops of one installation must not be able to put their visitors side by side."""
    names = DailyNames(tmp_path / "network.key")

    told = {
        names.name(site, place, MONDAY_MS)
        for site in ("acme", "bolt")
        for place in ("203.0.113.0/24", "2001:db8:1::/48")
    }

    assert len(told) == 4


def test_no_network_has_no_name(tmp_path: Path) -> None:
    """One name for all unknown senders would make them look like one."""
    assert DailyNames(tmp_path / "network.key").name("acme", None, MONDAY_MS) is None


def test_workers_and_restarts_share_the_key_of_the_day(tmp_path: Path) -> None:
    """One visitor's requests reach any worker."""
    told = {
        DailyNames(tmp_path / "network.key").name("acme", "203.0.113.0/24", MONDAY_MS)
        for _ in range(3)
    }

    assert len(told) == 1


def test_workers_that_meet_at_midnight_agree(tmp_path: Path) -> None:
    """Two keys for one day would make one visitor look like two."""
    file = tmp_path / "network.key"
    DailyNames(file).name("acme", "203.0.113.0/24", MONDAY_MS - 1)
    workers = 8
    midnight = threading.Barrier(workers)

    def work() -> str:
        names = DailyNames(file)
        midnight.wait()
        # Another worker may just be writing: such a request goes without a name.
        while (name := names.name("acme", "203.0.113.0/24", MONDAY_MS)) is None:
            names._retry_at = float("-inf")
        return name

    with ThreadPoolExecutor(workers) as pool:
        told = {each.result() for each in [pool.submit(work) for _ in range(workers)]}

    assert len(told) == 1


def test_yesterdays_names_cannot_be_undone(tmp_path: Path) -> None:
    """The lake lives for years; who gets it must not find a household in it.

    The control: with the key, trying all networks is quick; a hash without a key, or with one
    that is kept, is as good as the address.
    """
    file = tmp_path / "network.key"
    names = DailyNames(file)
    wanted = names.name("acme", "203.0.113.0/24", MONDAY_MS)
    networks = [f"203.0.{number}.0/24" for number in range(256)]

    def undo() -> list[str]:
        """What an attacker with everything in the home directory finds."""
        thief = DailyNames(file)
        return [place for place in networks if thief.name("acme", place, MONDAY_MS) == wanted]

    kept = file.read_bytes()
    assert undo() == ["203.0.113.0/24"]  # the control: while the key is there

    names.name("acme", "198.51.100.0/24", MONDAY_MS + DAY_MS)
    assert undo() == []
    assert msgspec.json.decode(kept)["key"].encode() not in file.read_bytes()


def test_the_control_a_plain_hash_is_undone_in_no_time() -> None:
    """Why there is a key at all: 2**24 networks are nothing."""
    wanted = hashlib.sha256(b"203.0.113.0/24").digest()

    found = [
        number
        for number in range(256)
        if hashlib.sha256(f"203.0.{number}.0/24".encode()).digest() == wanted
    ]

    assert found == [113]


def test_only_the_owner_reads_the_key(tmp_path: Path) -> None:
    """A neighbour on the machine must not be able to undo today's names."""
    file = tmp_path / "network.key"
    file.touch(mode=0o644)

    DailyNames(file).name("acme", "203.0.113.0/24", MONDAY_MS)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"nonsense", b'{"day": 20000, "key": "c2hvcnQ="}'])
def test_a_broken_key_file_is_replaced(tmp_path: Path, content: bytes) -> None:
    """A power cut in the middle of the write must not cost the day."""
    file = tmp_path / "network.key"
    file.write_bytes(content)

    first, second = (DailyNames(file).name("acme", "203.0.113.0/24", MONDAY_MS) for _ in range(2))

    assert first is not None
    assert first == second


def test_a_key_from_the_far_future_is_replaced(tmp_path: Path) -> None:
    """One wrong clock would otherwise keep one key for years."""
    file = tmp_path / "network.key"
    DailyNames(file).name("acme", "203.0.113.0/24", MONDAY_MS + 1000 * DAY_MS)

    DailyNames(file).name("acme", "203.0.113.0/24", MONDAY_MS)

    assert msgspec.json.decode(file.read_bytes())["day"] == MONDAY


def test_a_clock_that_runs_behind_takes_the_key_that_is_there(tmp_path: Path) -> None:
    """Two machines of one home around midnight must not overwrite each other's key in turn."""
    file = tmp_path / "network.key"
    ahead, behind = DailyNames(file), DailyNames(file)

    name = ahead.name("acme", "203.0.113.0/24", MONDAY_MS + DAY_MS)

    assert behind.name("acme", "203.0.113.0/24", MONDAY_MS + DAY_MS - 1) == name
    assert ahead.name("acme", "203.0.113.0/24", MONDAY_MS + DAY_MS - 1) == name


def test_a_directory_that_cannot_be_written_costs_names_only(tmp_path: Path) -> None:
    """Events are worth more than the names of networks; and yesterday's key is not used on."""
    names = DailyNames(tmp_path / "home" / "network.key")

    assert names.name("acme", "203.0.113.0/24", MONDAY_MS) is None

    (tmp_path / "home").mkdir()
    names._retry_at = float("-inf")
    assert names.name("acme", "203.0.113.0/24", MONDAY_MS) is not None
    (tmp_path / "home" / "network.key").unlink()
    (tmp_path / "home").rmdir()
    assert names.name("acme", "203.0.113.0/24", MONDAY_MS + DAY_MS) is None


def test_a_link_in_the_keys_place_is_not_followed(tmp_path: Path) -> None:
    """Who may write the home directory must not make the beacon write elsewhere."""
    target = tmp_path / "precious"
    target.write_text("untouched")
    (tmp_path / "network.key").symlink_to(target)

    assert DailyNames(tmp_path / "network.key").name("acme", "203.0.113.0/24", MONDAY_MS) is None
    assert target.read_text() == "untouched"
