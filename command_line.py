"""What all commands of `pinsphere` share: the home's flag, telling, and exit codes."""

import contextlib
import gc
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.exceptions import CycloptsError, UnknownOptionError
from cyclopts.validators import Number

from schemas.errors import PinSphereError, UsageError

HomePath = Annotated[
    Path | None,
    Parameter(env_var="PINSPHERE_HOME", help="Home directory [default: ./pinsphere-data]"),
]
AtLeastOne = Number(gte=1)
# Arrow chooses its allocator when it is loaded: this one holds on to less of what is freed.
LOADED_WITH = {"ARROW_DEFAULT_MEMORY_POOL": "jemalloc"} if sys.platform == "linux" else {}


def run_command(app: App, arguments: list[str] | None) -> None:
    """Runs a command; a user's mistake is told without a traceback.

    Exit codes: 0 done, 1 failed, 2 wrong usage.
    """
    # Lake, quarantine and tables hold people's data: what is made here is its owner's alone.
    before = os.umask(0o077)
    os.umask(before | 0o077)
    try:
        app(arguments, exit_on_error=False, result_action="return_value")
    except CycloptsError as error:  # cyclopts has printed what was wrong
        if isinstance(error, UnknownOptionError) and tuple(error.command_chain or ()) == ("run",):
            tell(
                f"{error.token.value} is no option of pinsphere run;"
                " Beam options go after --: pinsphere run -- --runner=FlinkRunner"
            )
        sys.exit(2)
    except UsageError as error:
        tell(error)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if not tell_failure(error):
            raise
        sys.exit(1)
    finally:
        os.umask(before)


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Libraries load with what they read when they do (`LOADED_WITH`) in the environment.

    Meanwhile Python looks for no garbage, and later not among what they left.
    """
    for name, value in LOADED_WITH.items():
        os.environ.setdefault(name, value)
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def tell(what: object) -> None:
    """Tells something in one line of stderr."""
    lines = filter(None, map(str.strip, str(what).splitlines()))
    print(f"pinsphere: {' '.join(lines)}", file=sys.stderr)


def tell_failure(error: Exception) -> bool:
    """Tells what a user can mend in one line; says False to what needs a traceback."""
    if isinstance(error, (PinSphereError, OSError)):
        tell(error)
    elif isinstance(error, _database_errors()):
        tell(f"database: {getattr(error, 'orig', None) or error}")
    else:
        return False
    return True


def point_at_quarantine(count: int, folder: Path) -> None:
    """Says where to look, if anything was quarantined."""
    if count:
        print(f"what was quarantined, and why: {folder}")


def quiet_beam() -> None:
    """Beam warns at import of file systems that are not installed; errors still show."""
    logging.basicConfig(level=logging.ERROR)


def _database_errors() -> tuple[type[BaseException], ...]:
    """Errors of the database modules that are loaded: no other can have raised one."""
    kinds = (("sqlalchemy.exc", "SQLAlchemyError"), ("sqlite3", "Error"), ("psycopg", "Error"))
    return tuple(getattr(sys.modules[name], kind) for name, kind in kinds if name in sys.modules)
