"""A command on a real terminal (a pseudo-terminal, as people have one), and on a pipe."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHELL = {"PYTHONPATH": str(ROOT), "COLUMNS": "100", "TERM": "xterm"}


def on_a_terminal(*command: str) -> tuple[int, str]:
    """Exit code and all that a real terminal of 100 columns was sent."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "pinsphere", *command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,  # its hang-up reaches nobody else
        env={**os.environ, **SHELL},
    ) as process:
        os.close(theirs)
        said, deadline = b"", time.monotonic() + 60
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                said += os.read(ours, 65_536)
            except OSError:  # the last one has closed the terminal
                break
    os.close(ours)
    return process.returncode, said.decode()


def on_a_pipe(*command: str) -> tuple[int, str]:
    """Exit code and all that was said where no terminal is, as under cron."""
    done = subprocess.run(
        [sys.executable, "-m", "pinsphere", *command],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **SHELL},
        text=True,
    )
    return done.returncode, done.stdout
