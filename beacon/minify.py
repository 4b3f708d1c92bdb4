"""Builds the served snippet from its parts, for a release: one function, short names.

`python -m beacon.minify > beacon/snippet/pin.min.js` writes the committed copy, so that the
bytes of a release, and the integrity hash in the pages of shops, are the same everywhere.
"""

import sys

from beacon.script import SNIPPET

# In this order they become the body of one function.
PARTS = ("start", "store", "queue", "links", "lists", "pins", "orders", "visit")


def build_snippet() -> str:
    """The parts in one function that never throws into the page, minified."""
    import minify  # a tool of development: no beacon needs it

    folder = SNIPPET.parent
    parts = [(folder / f"{name}.js").read_text(encoding="utf-8") for name in PARTS]
    source = "\n".join(["(() => {", "try {", *parts, "} catch {}", "})()"])
    return minify.string("text/javascript", source) + "\n"


def main() -> None:
    """Prints the snippet, as committed in `beacon/snippet/pin.min.js`."""
    sys.stdout.write(build_snippet())


if __name__ == "__main__":
    main()
