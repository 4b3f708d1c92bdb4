"""Beam options that users pass through, checked: a typing error never runs the job."""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import create_runner

from schemas.errors import UsageError


def check_options(options: Sequence[str]) -> list[str]:
    """Gives back Beam options, or raises.

    Beam itself drops unknown options with a warning, and `multi_threading` silently loses
    data (measured: 5 of 5 runs at a million events, up to a tenth of the revenue). A runner
    that is not there is told at once, not on the day there is news to run on.

    Raises:
      UsageError: names the option.
    """
    known = {f"--{name}" for name in PipelineOptions([]).get_all_options()}
    for option in options:
        name = option.partition("=")[0]
        bare = name.removeprefix("--no_").removeprefix("--no-")
        if not name.startswith("--"):
            raise UsageError(f"Beam option {option!r} is not of the form --name=value")
        if name not in known and f"--{bare}" not in known:
            raise UsageError(f"unknown Beam option {name!r}")
    said = _parse(options)
    if said["direct_running_mode"] == "multi_threading":
        raise UsageError(
            "--direct_running_mode=multi_threading loses rows without an error;"
            " use in_memory (default) or multi_processing"
        )
    if said["runner"] is not None:
        _check_runner(said["runner"])
    return list(options)


def _parse(options: Sequence[str]) -> dict[str, Any]:
    """The options' values; Beam would print its own usage and end the process."""
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            return PipelineOptions(list(options)).get_all_options()
    except SystemExit:
        reason = told.getvalue().strip().rpartition("error: ")[2]
        raise UsageError(f"Beam refuses its options: {reason}") from None


def _check_runner(name: str) -> None:
    """Finds the runner as Beam will; making one starts nothing."""
    try:
        create_runner(name)
    except (ValueError, ImportError, AttributeError, TypeError) as error:
        raise UsageError(f"--runner={name}: {error}") from None
