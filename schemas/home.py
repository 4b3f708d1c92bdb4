"""The home directory of an installation: where everything in it lies."""

import contextlib
import os
import re
import tomllib
from pathlib import Path

from schemas.errors import SettingsError
from schemas.settings import Settings, parse_settings


class Home:
    """The home directory and where everything in it lies."""

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = Path(path or os.environ.get("PINSPHERE_HOME") or "pinsphere-data")

    @property
    def settings_file(self) -> Path:
        """`pinsphere.toml`."""
        return self.path / "pinsphere.toml"

    @property
    def spool(self) -> Path:
        """The beacon's spool files, one a worker process."""
        return self.path / "spool"

    @property
    def forwarded(self) -> Path:
        """How far each spool file is forwarded to Pub/Sub."""
        return self.path / "forwarded"

    @property
    def snippets(self) -> Path:
        """Every snippet that was served, by version: pages ask for the one whose hash they bear."""
        return self.path / "snippets"

    @property
    def lake(self) -> Path:
        """Parquet by event name, site and date: all tables are a function of it."""
        return self.path / "lake"

    @property
    def items(self) -> Path:
        """Each site's catalog: which category an item belongs to."""
        return self.path / "items"

    @property
    def lake_lock(self) -> Path:
        """Who writes lake or quarantine holds it with others; who rewrites them, alone."""
        return self.path / "lake.lock"

    @property
    def erased(self) -> Path:
        """Keyed hashes of the ids that were erased: what comes late is known by them."""
        return self.path / "erased.json"

    @property
    def erasing(self) -> Path:
        """What an erasure at work looks for; gone when it is done."""
        return self.path / "erasing.json"

    @property
    def state(self) -> Path:
        """What the next run continues from; without it that run begins from the lake."""
        return self.path / "state"

    @property
    def ledger(self) -> Path:
        """Every credit of the published run, in Parquet."""
        return self.path / "ledger"

    @property
    def network_key(self) -> Path:
        """Today's key of the hashes of senders' networks; the beacon overwrites it daily."""
        return self.path / "network.key"

    @property
    def quarantine(self) -> Path:
        """What broke its contract, with the reason."""
        return self.path / "quarantine"

    @property
    def work(self) -> Path:
        """Scratch space of runs; may be deleted when no run is at work."""
        return self.path / "work"

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL: `DATABASE_URL`, else the embedded SQLite file."""
        url = os.environ.get("DATABASE_URL") or f"sqlite:///{self.path / 'pinsphere.db'}"
        for scheme in ("postgres://", "postgresql://"):
            if url.startswith(scheme):
                return "postgresql+psycopg://" + url.removeprefix(scheme)
        return url

    @property
    def shown_database_url(self) -> str:
        """The database's URL without its password."""
        return hide_password(self.database_url)

    def metrics_file(self, given: Path | None = None) -> Path | None:
        """Where runs write metrics: as given, else as the settings say; None for nowhere."""
        if given is None:
            with contextlib.suppress(SettingsError):  # whoever needs them says what is wrong
                if (named := self.settings().metrics_file) is not None:
                    return self.path / named
        return given

    def settings(self) -> Settings:
        """Reads `pinsphere.toml`.

        Raises:
          SettingsError: no file, not TOML, or a value outside its contract.
        """
        try:
            text = self.settings_file.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise SettingsError(
                f"{self.settings_file} does not exist;"
                " make it with: pinsphere init --site SHOP --currency GBP"
            ) from None
        except (OSError, UnicodeError) as error:
            raise SettingsError(f"{self.settings_file}: cannot be read: {error}") from None
        try:
            return parse_settings(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{self.settings_file}: {error}") from None
        except SettingsError as error:
            raise SettingsError(f"{self.settings_file}: {error}") from None


def hide_password(url: str) -> str:
    """A URL, well formed or not, without what stands between the user's `:` and the last `@`."""
    login, at, place = url.rpartition("@")
    scheme = re.match(r"(?:[a-z0-9+.-]*://)?", login, re.IGNORECASE)
    start = scheme.end() if scheme else 0
    user, colon, _ = login[start:].partition(":")
    shown = f"{login[:start]}{user}{':***' if colon else ''}{at}{place}"
    return re.sub(r"(password=)[^&]*", r"\1***", shown)
