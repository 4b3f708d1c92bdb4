"""`docs/operations.md` as data: its blocks, and a way to run those that a shell would."""

import contextlib
import io
import itertools
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pinsphere

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "operations.md").read_text()
UNITS = ROOT / "examples" / "systemd"


class Block(NamedTuple):
    """A fenced block."""

    heading: str
    kind: str
    """What stands after its backticks: `sh`, `sh as root`, `yaml`."""
    text: str


def blocks(page: str = PAGE) -> Iterator[Block]:
    """All blocks in their order."""
    heading = ""
    for found in re.finditer(r"^## (.+)$|^```(.+)\n((?:.*\n)*?)```$", page, re.MULTILINE):
        if found[1]:
            heading = found[1]
        else:
            yield Block(heading, found[2], found[3])


def of_kind(kind: str) -> list[Block]:
    """The blocks of one kind."""
    return [block for block in blocks() if block.kind == kind]


def run_block(block: Block, folder: Path) -> str:
    """Runs a block as `bash -eu` would, in a folder; gives what it printed.

    Our own commands run in this process, which spares a start of Python each.

    Raises:
      AssertionError: a command failed.
    """
    printed = ""
    with contextlib.chdir(folder):
        for is_ours, lines in itertools.groupby(
            block.text.splitlines(), lambda line: line.startswith("pinsphere ")
        ):
            if is_ours:
                printed += "".join(map(_run_ours, lines))
                continue
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
                check=False,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
            printed += done.stdout
    return printed


def _run_ours(line: str) -> str:
    words = [os.path.expandvars(word) for word in shlex.split(line, comments=True)][1:]
    target = None
    if ">" in words:
        at = words.index(">")
        words, target = words[:at], words[at + 1]
    with contextlib.redirect_stdout(io.StringIO()) as told:
        try:
            pinsphere.main(words)
        except SystemExit as end:
            raise AssertionError(f"{line}: exit code {end.code}: {told.getvalue()}") from end
    if target is None:
        return told.getvalue()
    Path(target).write_text(told.getvalue())
    return ""


def our_commands(text: str) -> list[list[str]]:
    """Words after `pinsphere` in each line that calls it, by whatever path."""
    found = re.findall(r"(?:^|bin/)pinsphere ([a-z].*)$", text, re.MULTILINE)
    return [
        list(itertools.takewhile(lambda word: word not in {">", ">>", "|"}, shlex.split(each)))
        for each in found
    ]
