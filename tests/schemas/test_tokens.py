"""Pin ids, the tokens that ride in pinned URLs, and event ids."""

import string
import urllib.parse
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import EventError
from schemas.ids import Token, check_pin_id, format_token, new_event_id, parse_token

PIN_IDS = st.text(alphabet=string.ascii_letters + string.digits + "-_", min_size=1, max_size=64)


@given(PIN_IDS, PIN_IDS)
def test_a_token_survives_its_text_and_a_url(pin_id: str, root: str) -> None:
    """A cascade is found again only if the token comes back as it left."""
    token = Token(pin_id, root)
    text = format_token(token)

    assert parse_token(text) == token
    assert urllib.parse.quote(text, safe="") == text


@given(PIN_IDS)
def test_a_root_s_token_is_its_id_alone(pin_id: str) -> None:
    """Short URLs; what needs no root says none."""
    assert format_token(Token(pin_id, pin_id)) == pin_id
    assert parse_token(f"{pin_id}.{pin_id}") == Token(pin_id, pin_id)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a.",
        ".a",
        "a.b.c",
        "a b",
        "a/b",
        "a%20b",
        "\u00e9",
        "a\n",
        "x" * 65,
        "a." + "x" * 65,
    ],
)
def test_any_other_text_is_no_token(text: str) -> None:
    """Anyone can write a URL; what is stored stays URL-safe and short."""
    with pytest.raises(EventError, match="is not 1-64 characters of A-Z a-z 0-9 - _"):
        parse_token(text)


@given(st.text(max_size=80))
def test_a_checked_pin_id_needs_no_escape_anywhere(text: str) -> None:
    """Neither in a URL nor in a cookie, a file name or a joint key."""
    is_sound = set(text) <= set(string.ascii_letters + string.digits + "-_")

    if is_sound and 1 <= len(text) <= 64:
        assert check_pin_id(text) == text
    else:
        with pytest.raises(EventError):
            check_pin_id(text)


def test_event_ids_are_fresh_and_sorted_by_time() -> None:
    """Ids are no hashes of their content: two equal clicks are two events."""
    minted = [new_event_id() for _ in range(1_000)]

    assert len(set(minted)) == 1_000
    assert {uuid.UUID(one).version for one in minted} == {7}
    stamps = [uuid.UUID(one).int >> 80 for one in minted]
    assert stamps == sorted(stamps)
