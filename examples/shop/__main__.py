"""Runs the shop: ``python -m examples.shop --port 8001 --beacon URL --site-key KEY``."""

import argparse
import functools
import os
import sys

from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels
from starlette.applications import Starlette

from examples.shop.app import build_app

SECRET_ENV = "PINSPHERE_SECRET"


def main() -> None:
    """Reads the command line and serves on the loopback address until stopped."""
    parser = argparse.ArgumentParser(prog="python -m examples.shop", description=__doc__)
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--beacon", default="http://127.0.0.1:8000", help="the beacon's address")
    parser.add_argument("--site-key", required=True, help="the site's public key")
    arguments = parser.parse_args()
    secret = os.environ.get(SECRET_ENV)
    if not secret:
        sys.exit(f"{SECRET_ENV} is not set: the secret that signs orders, as the beacon knows it")
    server = Granian(
        "examples.shop",
        address="127.0.0.1",
        port=arguments.port,
        interface=Interfaces.ASGI,
        websockets=False,
        log_level=LogLevels.warning,
    )
    load = functools.partial(_load, arguments.beacon, arguments.site_key, secret)
    server.serve(target_loader=load, wrap_loader=False)


def _load(beacon_url: str, site_key: str, secret: str) -> Starlette:
    return build_app(beacon_url, site_key, secret)


if __name__ == "__main__":
    main()
