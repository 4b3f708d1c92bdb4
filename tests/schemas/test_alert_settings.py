"""`[alerts]` in `pinsphere.toml`: what is taken, and what the reason says of the rest."""

import re
import tomllib
from pathlib import Path

import pytest

from schemas.alerts import AlertRules, alert_warnings
from schemas.errors import SettingsError
from schemas.settings import parse_settings

PAGE = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()
DEFAULTS, WEBHOOK = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def parse(text: str) -> AlertRules:
    """The rules of this TOML."""
    return parse_settings(tomllib.loads(text)).alerts


def test_the_documented_thresholds_are_the_defaults() -> None:
    """Who copies the page's section changes nothing; each rule has its line in the table."""
    assert parse(DEFAULTS) == AlertRules() == parse("")
    rules = [name for name in AlertRules.__struct_fields__ if not name.startswith("webhook")]
    assert sorted(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == sorted(rules)


def test_a_rule_is_switched_off_by_false() -> None:
    """The others go on."""
    rules = parse("[alerts]\nno_events = false\nrun_late = 2")

    assert (rules.threshold("no_events"), rules.threshold("run_late")) == (None, 2.0)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("token_survival = true", "token_survival is a number, or false to switch it off"),
        ("unattributed = 10", "<= 1.0"),
        ("sphere_growth = 0.5", ">= 1.0"),
        ("sphere_growth = inf", "<= 1000.0"),
        ("no_events = 0", ">= 1.0"),
        ("tokens = 0.1", "unknown field `tokens`"),
    ],
)
def test_a_threshold_that_makes_no_sense_is_refused(line: str, reason: str) -> None:
    """10 is meant as per cent, and would never alarm; nor would infinity, or what is no number."""
    with pytest.raises(SettingsError, match=re.escape(reason)):
        parse(f"[alerts]\n{line}")


@pytest.mark.parametrize("name", ["webhook_env", "webhook_secret_env"])
def test_an_address_in_place_of_its_variable_is_refused_unseen(name: str) -> None:
    """The file is copied and mailed; the text goes to logs."""
    with pytest.raises(SettingsError) as told:
        parse(f'[alerts]\n{name} = "https://chat.example/secret"')

    assert f"alerts: {name} is the name of an environment variable" in str(told.value)
    assert "chat.example" not in str(told.value)


def test_a_variable_that_is_not_set_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """`pinsphere doctor` says so before the night in which it matters."""
    rules = parse(WEBHOOK)
    monkeypatch.setenv("PINSPHERE_ALERT_WEBHOOK", "https://chat.example/secret")
    monkeypatch.delenv("PINSPHERE_ALERT_SECRET", raising=False)

    assert list(alert_warnings(rules)) == [
        "alerts: webhook_secret_env: PINSPHERE_ALERT_SECRET not set: pinsphere alerts fails"
    ]
