"""Commands that show the answers: `console`, `report` and `export graph`.

`pinsphere.py` shows them; like its own they import what they need when they run.
"""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from command_line import AtLeastOne, HomePath

export_app = App(name="export", help="Take answers out in formats of other tools.")
_PORTS = Number(gte=1, lte=65_535)


def console(
    *,
    host: Annotated[str, Parameter(env_var="PINSPHERE_CONSOLE_HOST")] = "127.0.0.1",
    port: Annotated[int, Parameter(env_var="PINSPHERE_CONSOLE_PORT", validator=_PORTS)] = 8001,
    auth: Literal["token", "proxy"] = "token",
    allow_host: tuple[str, ...] = (),
    home: HomePath = None,
) -> None:
    """Serve the merchandiser's console: pages to look at, read-only.

    Parameters
    ----------
    host
        Address to listen at; another than loopback wants PINSPHERE_CONSOLE_TOKEN or --auth proxy.
    auth
        Who readers are: those with the token in PINSPHERE_CONSOLE_TOKEN, where it is set; or those
        whom the proxy before the console names in X-Forwarded-User.
    allow_host
        Name the console is asked by, such as pins.intern.example; may be repeated.
    """
    from console.server import serve
    from schemas.home import Home

    serve(Home(home), host=host, port=port, is_behind_proxy=auth == "proxy", hosts=allow_host)


def report(
    *,
    out: Path = Path("report.html"),
    site: str = "",
    since: str = "",
    until: str = "",
    model: str = "",
    home: HomePath = None,
) -> None:
    """Write the console's pages into one HTML file that works offline.

    Parameters
    ----------
    out
        File to write; one that is there is replaced, whole.
    site
        Shop it is about [default: the first]
    since
        First day, such as 2026-11-01, in the shop's time zone [default: the first there is]
    until
        Last day [default: the newest there is]
    model
        Attribution model [default: time_decay]
    """
    from console.report import write_report
    from schemas.home import Home

    given = {"site": site, "since": since, "until": until, "model": model}
    print(f"{out}: {write_report(Home(home), out, given):,} bytes")


@export_app.command(name="graph")
def export_graph(
    *,
    pinner: str,
    form: Annotated[Literal["graphml", "json"], Parameter(name="--format")] = "graphml",
    hops: Annotated[int, Parameter(validator=AtLeastOne)] = 2,
    site: str | None = None,
    output: Path | None = None,
    home: HomePath = None,
) -> None:
    """Export the network of who re-pins from a pinner, for Gephi and its like.

    Parameters
    ----------
    pinner
        Whose network: a pinner_id of the view pinner_sphere.
    form
        GraphML, or networkx's node-link JSON.
    hops
        How many re-pins far.
    site
        Her shop; may be left out where there is only one.
    output
        File to write [default: standard output]
    """
    from pipelines.flows.export_graph import export_graph as export
    from pipelines.flows.export_graph import place_file
    from schemas.home import Home

    content = export(Home(home), pinner, site=site, hops=hops, form=form)
    if output is None:
        sys.stdout.buffer.write(content)
    else:
        place_file(output, content)
        print(f"{output}: {len(content):,} bytes")
