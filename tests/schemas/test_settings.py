"""`pinsphere.toml`: what is taken, and what the reason says of the rest."""

import tomllib
from pathlib import Path

import pytest

from schemas.errors import SettingsError
from schemas.home import Home
from schemas.settings import Settings, parse_settings

SITE = """
[sites.shop]
key = "a-public-key"
currency = "GBP"
"""


def parse(text: str) -> Settings:
    """Settings of a TOML text."""
    return parse_settings(tomllib.loads(text))


def test_one_site_needs_a_key_and_a_currency_only() -> None:
    """`pinsphere init` writes two lines; the rest has defaults that the documents state."""
    settings = parse(SITE)

    site = settings.site("shop")
    assert (site.orders_from, site.time_zone, site.origins) == ("server", "UTC", ())
    assert (site.window_ms, site.half_life_days) == (30 * 86_400_000, 7.0)
    assert (site.necessity, site.sphere_decay) == (0.5, 0.5)
    assert parse("") == Settings()


def test_every_setting_can_be_set() -> None:
    """Whole numbers where fractions may stand, and fractions of days."""
    settings = parse(
        SITE
        + """
time_zone = "Pacific/Chatham"
origins = ["https://shop.example", "http://localhost:8000"]
secret_env = "SHOP_SECRET"
orders_from = "both"
window_days = 1
half_life_days = 0.25
necessity = 0
sphere_decay = 1

[beacon]
spool_max_mb = 1
min_free_percent = 0
visitor_cookie = false
max_event_age_days = 0.5
"""
    )

    site = settings.sites["shop"]
    assert site.window_ms == 86_400_000
    assert site.origins == ("https://shop.example", "http://localhost:8000")
    assert (site.necessity, site.sphere_decay, site.half_life_days) == (0.0, 1.0, 0.25)
    assert not settings.beacon.visitor_cookie
    assert settings.beacon.max_event_age_days == 0.5


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[sites.shop]\ncurrency = 'GBP'", "missing required field `key`"),
        ("[sites.shop]\nkey = 'a-public-key'", "missing required field `currency`"),
        ("[sites.shop]\nkey = 'short'\ncurrency = 'GBP'", "length >= 8"),
        ("[sites.shop]\nkey = 'short'\ncurrency = 'GBP'", "`pinsphere init` makes one"),
        ("[sites.shop]\nkey = 'a-public-key'", "write into the site's section: currency = "),
        ("[pubsub]\ntopic = 'x'", 'write into [pubsub]: project = "your-project"'),
        (SITE + "shopify_secret = 'hush'", "name here, as `shopify_secret_env`"),
        (SITE + "woocommerce_secret = 'hush'", "name here, as `woocommerce_secret_env`"),
        (SITE + "secret = 'hush'", "name here, as `secret_env`"),
        ("[retention]\npin = inf", "<= 36500.0"),
        ("[sites.shop]\nkey = 'a-public-key'\ncurrency = 'gbp'", "sites.shop: currency 'gbp'"),
        (SITE.replace("shop", "Shop"), "site id 'Shop' is not 1-63 characters of a-z 0-9 - _"),
        (SITE.replace("shop", "-shop"), "site id '-shop'"),
        (SITE.replace("shop", "'a/../b'"), "site id 'a/../b'"),
        (SITE.replace("shop", "''"), "site id ''"),
        (SITE.replace("shop", "s" * 64), "is not 1-63 characters"),
        (SITE + SITE.replace("shop", "twin"), "two sites share one key"),
        (SITE + "time_zone = 'Mars/Olympus'", "sites.shop: time zone 'Mars/Olympus'"),
        (SITE + "time_zone = '../../etc/passwd'", "is not in the IANA list"),
        (SITE + "time_zone = ''", "is not in the IANA list"),
        (SITE + "origins = ['shop.example']", "sites.shop: origin 'shop.example'"),
        (SITE + "origins = ['https://shop.example/']", "is not scheme://host[:port]"),
        (SITE + "origins = ['*']", "origin '*'"),
        (SITE + "orders_from = 'heaven'", "orders_from"),
        (SITE + "window_days = 0", "`float` > 0.0"),
        (SITE + "window_days = -1", "`float` > 0.0"),
        (SITE + "window_days = 3651", "`float` <= 3650.0"),
        (SITE + "window_days = nan", "window_days"),
        (SITE + "half_life_days = inf", "half_life_days"),
        (SITE + "necessity = 1.5", "`float` <= 1.0"),
        (SITE + "necessity = nan", "necessity"),
        (SITE + "sphere_decay = -0.1", "`float` >= 0.0"),
        (SITE + "windw_days = 3", "unknown field `windw_days`"),
        ("[beacon]\nspool_max_mb = 0", "`int` >= 1"),
        ("[beacon]\nmin_free_percent = 100", "min_free_percent"),
        ("[beacon]\nmax_event_age_days = 0", "max_event_age_days"),
        ("[beacon]\nmax_event_age_days = 36501", "max_event_age_days"),
        ("[beacon]\ncookies = true", "unknown field `cookies`"),
        ("engine = 'guess'", "engine"),
        ("keep_runs = 0", "`int` >= 1"),
        ("spool_keep_days = -1", "`float` >= 0.0"),
        ("spool_keep_days = nan", "spool_keep_days"),
        ("sights = 1", "unknown field `sights`"),
        ("sites = 1", "Expected `object`"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_reason(text: str, reason: str) -> None:
    """Who edits the file by hand is told the value and the rule, before anything runs."""
    with pytest.raises(SettingsError) as caught:
        parse(text)

    assert reason in str(caught.value)


def test_days_without_end_are_refused() -> None:
    """TOML has `inf`; no date lies that far back, so the drain could not reckon with it."""
    with pytest.raises(SettingsError, match="spool_keep_days"):
        parse("spool_keep_days = inf")


def test_an_unknown_site_is_answered_with_the_known_ones() -> None:
    """The way out stands in the message."""
    with pytest.raises(SettingsError, match=r"unknown site 'shap'; known: shop\. .*--site shap"):
        parse(SITE).site("shap")
    with pytest.raises(SettingsError, match="known: none yet"):
        Settings().site("shop")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "does not exist; make it with: pinsphere init"),
        (b"sites = [", "pinsphere.toml: "),
        (b"\xff", "pinsphere.toml: "),
        (b"engine = 'guess'", "pinsphere.toml: "),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """With several homes on one machine, the path is half the answer."""
    home = Home(tmp_path)
    if content is not None:
        home.settings_file.write_bytes(content)

    with pytest.raises(SettingsError) as caught:
        home.settings()

    assert reason in str(caught.value)
    assert str(home.settings_file) in str(caught.value)


def test_a_good_file_is_read(tmp_path: Path) -> None:
    """UTF-8, as TOML wants it."""
    home = Home(tmp_path)
    home.settings_file.write_text(SITE + "# caf\u00e9\n", encoding="utf-8")

    assert home.settings() == parse(SITE)


@pytest.mark.parametrize(
    ("url", "used", "shown"),
    [
        ("postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d", "postgresql+psycopg://u:***@h/d"),
        ("postgresql://u@h/d", "postgresql+psycopg://u@h/d", "postgresql+psycopg://u@h/d"),
        ("sqlite:///x.db", "sqlite:///x.db", "sqlite:///x.db"),
    ],
)
def test_a_database_s_password_is_never_shown(
    monkeypatch: pytest.MonkeyPatch, url: str, used: str, shown: str
) -> None:
    """Logs are read by more people than databases."""
    monkeypatch.setenv("DATABASE_URL", url)

    assert Home("home").database_url == used
    assert Home("home").shown_database_url == shown


def test_the_home_is_given_or_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flag wins over the variable, which wins over the default."""
    monkeypatch.setenv("PINSPHERE_HOME", str(tmp_path / "variable"))
    assert Home().path == tmp_path / "variable"
    assert Home(tmp_path / "flag").path == tmp_path / "flag"
    assert Home().database_url == f"sqlite:///{tmp_path / 'variable' / 'pinsphere.db'}"
    monkeypatch.delenv("PINSPHERE_HOME")

    home = Home()

    assert home.path == Path("pinsphere-data")
    assert len({home.spool, home.lake, home.quarantine, home.work, home.settings_file}) == 5
