"""Thresholds of the stages in `pinsphere.toml`: what is taken, and what the reason says."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from pipelines.flows.record import deciding_settings
from schemas.errors import SettingsError
from schemas.ladder import RUNGS
from schemas.settings import Site, parse_settings
from schemas.stages import STAGES, Stages

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "relationships.md").read_text()
SITE = '[sites.acme]\nkey = "a-public-key"\ncurrency = "GBP"\n'

EASY_TEAMMATE = """
[sites.acme.stages.teammate]
recency_months = 5
active_months = 3
depth = "consumption"
reciprocity = 0
"""


def parse(text: str) -> Stages:
    """The thresholds of a site with this TOML."""
    return parse_settings(tomllib.loads(SITE + text)).sites["acme"].stages


def test_the_documented_thresholds_are_the_defaults() -> None:
    """Who copies the page's section changes nothing."""
    (section,) = re.findall(r"```toml\n(.*?)```", DOCUMENTED, re.DOTALL)

    assert parse(section) == Stages() == parse("")


def test_one_threshold_may_be_set_alone() -> None:
    """The others of that stage stay that stage's own, not those of another."""
    stages = parse("[sites.acme.stages.teammate]\nactive_months = 4\n")

    assert stages.teammate.active_months == 4
    assert (stages.teammate.depth, stages.teammate.recency_months) == ("collaboration", 2)
    assert stages.casual_acquaintance == Stages().casual_acquaintance


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (EASY_TEAMMATE, "nobody could be a casual acquaintance"),
        ("[sites.acme.stages]\nlook_back_months = 0", "`int` >= 1"),
        ("[sites.acme.stages]\nlook_back = 3", "unknown field `look_back`"),
        ("[sites.acme.stages]\nburst_days = -1", "`float` >= 0"),
        ("[sites.acme.stages.teammate]\ndepth = 'love'", "Invalid enum value 'love'"),
        ("[sites.acme.stages.teammate]\nreciprocity = 3", "`int` <= 2"),
        ("[sites.acme.stages.stranger]\nactive_months = 1", "unknown field `stranger`"),
        (
            "[sites.acme.stages]\nlook_back_months = 5",
            "sites.acme: stages.teammate: active_months = 6 of look_back_months = 5",
        ),
    ],
)
def test_thresholds_that_mean_nothing_are_refused(text: str, reason: str) -> None:
    """A stage that nobody can be in looks like a shop without friends."""
    with pytest.raises(SettingsError, match=re.escape(reason)):
        parse(text)


def test_the_page_names_every_stage_and_rung() -> None:
    """A stage without its rule is a riddle."""
    names = set(re.findall(r"^\| `([a-z ]+)` \|", DOCUMENTED, re.MULTILINE))

    assert names >= {*STAGES, *RUNGS}


def test_whatever_a_site_says_of_results_is_in_the_digest_of_a_run() -> None:
    """A threshold that is changed must begin a full run; a key that is changed must not."""
    of_ways_in = {
        *("key", "origins", "secret_env", "shopify_secret_env", "woocommerce_secret_env"),
        *("shopify_subscription", "item_id_from"),
    }

    decided = msgspec.json.decode(deciding_settings(parse_settings(tomllib.loads(SITE)), {}))

    assert set(decided["sites"]["acme"]) >= set(Site.__struct_fields__) - of_ways_in
    assert not set(decided["sites"]["acme"]) & of_ways_in
