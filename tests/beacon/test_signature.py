"""Signatures under two live secrets: both are tried, whole, whichever holds."""

import hmac

import pytest

from schemas.signature import is_body_signed, sign, sign_body, signature_error
from tests.shop_payloads import signed

NOW = 1_772_355_600
BODY = b'{"id": 5001}'
LIVE = ("old", "new")


@pytest.mark.parametrize("secret", LIVE)
def test_either_live_secret_opens(secret: str) -> None:
    """While a shop changes its secret, messages under both are on their way."""
    assert signature_error(sign(secret, BODY, NOW), LIVE, BODY, NOW) is None
    assert is_body_signed(signed(secret, BODY), LIVE, BODY)


def test_a_third_secret_does_not() -> None:
    assert "does not match" in (signature_error(sign("older", BODY, NOW), LIVE, BODY, NOW) or "")
    assert not is_body_signed(signed("older", BODY), LIVE, BODY)


def test_a_retired_secret_does_not() -> None:
    """Once its name is out of the settings a leaked one is worth nothing."""
    assert signature_error(sign("old", BODY, NOW), LIVE[1:], BODY, NOW)
    assert not is_body_signed(signed("old", BODY), LIVE[1:], BODY)


@pytest.mark.parametrize("age", [-300, 300])
def test_five_minutes_are_tolerated_and_no_more(age: int) -> None:
    late = age + (1 if age > 0 else -1)

    assert signature_error(sign("old", BODY, NOW), LIVE, BODY, NOW + age) is None
    assert "300 seconds off" in (
        signature_error(sign("old", BODY, NOW), LIVE, BODY, NOW + late) or ""
    )


@pytest.mark.parametrize("secret", [*LIVE, "neither"])
def test_how_long_it_takes_tells_nothing(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both secrets are compared in constant time, also when the first one holds."""
    compared: list[int] = []

    def counting(left: str | bytes, right: str | bytes) -> bool:
        compared.append(len(left))
        return left == right

    monkeypatch.setattr(hmac, "compare_digest", counting)

    signature_error(sign(secret, BODY, NOW), LIVE, BODY, NOW)
    is_body_signed(sign_body(secret, BODY), LIVE, BODY)

    assert compared == [64, 64, 44, 44]


@pytest.mark.parametrize("given", ["", "=", "\u00fc" * 44, "x" * 44, signed("old", b"other")])
def test_whatever_else_stands_there_is_no_signature(given: str) -> None:
    assert not is_body_signed(given, LIVE, BODY)


def test_no_secret_opens_nothing() -> None:
    """A site without a secret has no webhooks; an empty one would be everybody's."""
    assert not is_body_signed(signed("", BODY), (), BODY)
