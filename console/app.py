"""The console as an ASGI app: pages, the rows behind their figures, and files of these rows."""

import contextlib
import logging
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from typing import IO

from sqlalchemy.exc import DBAPIError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from console.blocks import Empty, Page, Table
from console.choices import ChoiceError, UnknownError
from console.contents import PAGES, QUESTIONS, Entry
from console.database import Database
from console.exports import BATCH_ROWS, sql_text, write_csv, write_parquet
from console.guard import Door, Guard
from console.questions import Question, Row
from console.reading import NoRunError, Reading, build_page, read
from console.rendering import STATIC, render_page, render_problem, render_sign_in
from schemas.errors import SettingsError
from schemas.home import Home

MOST_ROWS_SHOWN = 1_000
_LOG = logging.getLogger(__name__)
_IN_MEMORY = 4 * 1024 * 1024
Write = Callable[[IO[bytes], Question, Iterator[list[Row]]], None]


def build_app(home: Home, door: Door) -> ASGIApp:
    """The console over a home directory's database, with a guard before it."""
    database = Database(home)
    console = _Console(database)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        database.close()

    routes = [
        *(Route(entry.path, console.page(entry)) for entry in PAGES),
        Route("/rows/{name}.csv", console.file(write_csv, "csv", "text/csv; charset=utf-8")),
        Route(
            "/rows/{name}.parquet",
            console.file(write_parquet, "parquet", "application/vnd.apache.parquet"),
        ),
        Route("/rows/{name}.sql", console.sql),
        Route("/rows/{name}", console.rows),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={
            UnknownError: _refuse(404, "That is not in this run", "/"),
            ChoiceError: _refuse(400, "That address cannot be answered", "/"),
            NoRunError: _say_there_is_no_run,
            SettingsError: _refuse(503, "The database cannot be read"),
            DBAPIError: _refuse(503, "The database did not answer"),
            HTTPException: _say_status,
        },
    )
    return Guard(app, door, render_sign_in)


class _Console:
    """The endpoints; they run in threads, since the database is waited for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextlib.contextmanager
    def _reading(self, request: Request) -> Iterator[Reading]:
        with self._database.snapshot() as connection:
            yield read(connection, request.query_params)

    def page(self, entry: Entry) -> Callable[[Request], Response]:
        """Endpoint of a page."""

        def show(request: Request) -> Response:
            with self._reading(request) as (published, choices, ask):
                page = build_page(entry, choices, ask)
            return HTMLResponse(render_page(page, choices, published, entry.path))

        return show

    def rows(self, request: Request) -> Response:
        """Endpoint of the rows behind a figure, as a page."""
        question = _question(request)
        with self._reading(request) as (published, choices, ask):
            first = ask.first(question.name, MOST_ROWS_SHOWN + 1)
        shown = first[:MOST_ROWS_SHOWN]
        note = question.note
        if len(first) > MOST_ROWS_SHOWN:
            note = f"The first {MOST_ROWS_SHOWN:,} rows; the files have all of them. {note}"
        nothing = Empty("No rows.", "Choose other days, or another site.")
        table = Table("Rows", shown, question.name, note)
        page = Page(question.title, [table if shown else nothing])
        return HTMLResponse(render_page(page, choices, published, request.url.path))

    def file(self, write: Write, suffix: str, kind: str) -> Callable[[Request], Response]:
        """Endpoint of the same rows in a file."""

        def send(request: Request) -> Response:
            question = _question(request)
            # Written first and sent afterwards: a slow reader must not hold a snapshot open.
            with contextlib.ExitStack() as stack:
                file = stack.enter_context(tempfile.SpooledTemporaryFile(_IN_MEMORY))
                with self._reading(request) as (_, _, ask):
                    write(file, question, ask.batches(question.name, BATCH_ROWS))
                stack.pop_all()  # closed when it is sent
            return _sent(file, f"{question.name}.{suffix}", kind)

        return send

    def sql(self, request: Request) -> Response:
        """Endpoint of the SQL that makes the rows."""
        question = _question(request)
        with self._reading(request) as (_, choices, _):
            return PlainTextResponse(sql_text(question, choices.parameters))


def _question(request: Request) -> Question:
    try:
        return QUESTIONS[request.path_params["name"]]
    except KeyError:
        raise HTTPException(404) from None


def _sent(file: tempfile.SpooledTemporaryFile[bytes], name: str, kind: str) -> Response:
    size = file.tell()
    file.seek(0)

    def pieces() -> Iterator[bytes]:
        with file:
            while piece := file.read(64 * 1024):
                yield piece

    headers = {
        "content-length": str(size),
        "content-disposition": f'attachment; filename="{name}"',
    }
    return StreamingResponse(pieces(), media_type=kind, headers=headers)


def _refuse(status: int, title: str, way_out: str = "") -> Callable[[Request, Exception], Response]:
    def answer(_request: Request, error: Exception) -> Response:
        text = str(error)
        if isinstance(error, DBAPIError):
            text = str(error.orig)  # without the statement and its values
            _LOG.error("database: %s", text.strip())
        return HTMLResponse(render_problem(title, text, way_out), status)

    return answer


def _say_there_is_no_run(request: Request, error: Exception) -> Response:
    """No fault of a new shop's; but who fetches a file must not take the page for it."""
    status = 404 if request.url.path.startswith("/rows/") else 200
    return _refuse(status, "Nothing to show yet")(request, error)


def _say_status(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (for mypy: only these come here)
    words = "There is no such page" if error.status_code == 404 else error.detail
    return HTMLResponse(render_problem(words, "", "/"), error.status_code, error.headers)
