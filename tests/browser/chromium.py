"""The Chromium of this machine, with no way out of it."""

import contextlib
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

# Of a person: the honest name of a headless browser is on every list of crawlers.
USER_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/156.0.0.0 Safari/537.36"
)
NAMES = ("chromium", "chromium-browser", "google-chrome")
# Chromium takes the last list it is given, so this one begins with what Playwright's turns off.
_TURNED_OFF = (
    "AimEnabled",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "LensOverlay",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
    # The address bar of each window is pages of its own, which nobody sees: half of its time.
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxPopup",
    # As is a process for the next site, which most profiles never go to.
    "SpareRendererForSitePerProcess",
)
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A context's own goes with its page; what a page sends as it is left behind bears this one.
    f"--user-agent={USER_AGENT}",
    f"--disable-features={','.join(_TURNED_OFF)}",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
]


def find_chromium() -> str | None:
    """Where it is."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def launched(path: str) -> Iterator[Browser]:
    """The browser, without a window, until the block ends."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()
