"""Beam options that users pass through, checked: a typing error never runs the job."""

from collections.abc import Sequence

from apache_beam.options.pipeline_options import PipelineOptions

from schemas.errors import SettingsError


def check_options(options: Sequence[str]) -> list[str]:
    """Gives back Beam options, or raises.

    Beam itself drops unknown options with a warning, and `multi_threading` silently loses
    data (measured: 5 of 5 runs at a million events, up to a tenth of the revenue).

    Raises:
      SettingsError: names the option.
    """
    known = {f"--{name}" for name in PipelineOptions([]).get_all_options()}
    for option in options:
        name = option.partition("=")[0]
        bare = name.removeprefix("--no_").removeprefix("--no-")
        if not name.startswith("--"):
            raise SettingsError(f"Beam option {option!r} is not of the form --name=value")
        if name not in known and f"--{bare}" not in known:
            raise SettingsError(f"unknown Beam option {name!r}")
    mode = PipelineOptions(list(options)).get_all_options()["direct_running_mode"]
    if mode == "multi_threading":
        raise SettingsError(
            "--direct_running_mode=multi_threading loses rows without an error;"
            " use in_memory (default) or multi_processing"
        )
    return list(options)
