"""The command as people use it: what it prints, what it writes, and how it exits."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pinsphere
from beacon.script import current_script
from pipelines.flows.demo import run_demo
from pipelines.flows.options import check_options
from pipelines.io.given_files import parse_mapping
from schemas.errors import SettingsError, UsageError
from schemas.home import Home

ROOT = Path(__file__).parents[1]
POOL = "ARROW_DEFAULT_MEMORY_POOL"
ORDERS = """order_id,ordered_at,item_id,quantity,price
1,2026-09-01 10:00:00,mug,2,12.50
2,2026-09-02 10:00:00,tea,1,3.20
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the site acme."""
    (tmp_path / "pinsphere.toml").write_text('[sites.acme]\nkey = "acme-key"\ncurrency = "GBP"\n')
    return tmp_path


@pytest.fixture(autouse=True)
def _by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No command here may write beside the test's folder."""
    monkeypatch.chdir(tmp_path)


def call(*arguments: object) -> int:
    """The exit code of the command, run in this process."""
    try:
        pinsphere.main([str(argument) for argument in arguments])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else -1
    return 0


EXITS: dict[str, tuple[str, int, str]] = {
    "version": ("version", 0, ""),
    "snippet": ("snippet --site acme", 0, ""),
    "init twice": ("init --site acme --currency GBP", 1, "is there already"),
    "init, dotted site": ("init --site a.b --currency GBP", 2, "not 1-63 characters of a-z 0-9"),
    "init, zone a folder": ("init --site b --currency GBP --time-zone Europe", 2, "IANA list"),
    "init, no currency": ("init --site b --currency gold", 2, "sites.b: currency 'gold'"),
    "init, no origin": ("init --site b --currency GBP --origin shop", 2, "origin 'shop' is not"),
    "no home": ("run --home typo", 1, "typo/pinsphere.toml does not exist"),
    "check, no database": ("db check --home typo", 1, "no database at typo/pinsphere.db"),
    "restore, no database": ("db restore --home typo", 1, "no database at typo/pinsphere.db"),
    "home in a file": ("db upgrade --home pinsphere.toml/x", 1, "pinsphere.toml/x"),
    "unknown command": ("bogus", 2, "bogus"),
    "unknown option": ("version --bogus", 2, "--bogus"),
    "unknown option of run": ("run --bogus", 2, "is no option of pinsphere run; Beam options go"),
    "unknown Beam option": ("run -- --bogus", 2, "unknown Beam option '--bogus'"),
    "unknown runner": ("run -- --runner=Nonsense", 2, "Unexpected pipeline runner: Nonsense"),
    "no shards": ("run --shards 0", 2, "Must be >= 1"),
    "no port": ("beacon --port 0", 2, "Must be >= 1"),
    "no such port": ("beacon --port 65536", 2, "Must be <= 65535"),
    "no host": ("beacon --host=", 2, "--host is empty"),
    "no host's name": (f"beacon --host {'a' * 70}.x", 2, "is no name of a host"),
    "unknown host": ("beacon --host nobody.invalid", 1, "--host 'nobody.invalid': "),
    "spool a file": ("beacon --home odd", 1, "spool odd/spool cannot be written: File exists"),
    "no subscription": ("archive --subscription=", 2, "'' is no subscription's name"),
    "odd subscription": ("archive --subscription a/b", 2, "'a/b' is no subscription's name"),
    "no URL": ("snippet --site acme --beacon-url shop", 2, "--beacon-url 'shop' is not http(s)"),
    "URL with a path": ("snippet --site acme --beacon-url https://b/x", 2, "without a path"),
    "no port of a URL": ("snippet --site acme --beacon-url http://b:x", 2, "'http://b:x' is not"),
    "no workers": ("beacon --workers 0", 2, "Must be >= 1"),
    "unknown site": ("snippet --site rival", 2, "unknown site 'rival'; known: acme"),
    "console for all": (
        "console --host 0.0.0.0",
        2,
        "nothing says who they are: set PINSPHERE_CON",
    ),
    "console, unknown host": ("console --auth proxy --host nobody.invalid", 1, "is no address"),
    "console, no port": ("console --port 0", 2, "Must be >= 1"),
    "console, unknown auth": ("console --auth magic", 2, "magic"),
    "report, no database": ("report --out r.html", 1, "no database at"),
    "no file": ("import orders --site acme", 2, "no file given"),
    "missing file": ("import events x.jsonl --site acme", 2, "x.jsonl cannot be read"),
    "unknown ending": ("import events x.doc --site acme", 2, "unknown kind of file"),
    "import, unknown site": ("import orders o.csv --site rival", 2, "unknown site 'rival'"),
    "bad mapping": ("import orders o.csv --site acme --map a", 2, "'a' is not of that form"),
    "mapping to nothing": (
        "import orders o.csv --site acme --map order_id=Invoice",
        2,
        "o.csv has no column 'Invoice'",
    ),
}


@pytest.mark.parametrize(("command", "code", "told"), EXITS.values(), ids=EXITS)
def test_the_exit_code_and_one_line_say_what_was_wrong(
    home: Path, command: str, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script that calls us reads the code, and its author the line."""
    (home / "o.csv").write_text(ORDERS)
    (home / "odd").mkdir()
    for name in ("pinsphere.toml", "spool"):
        (home / "odd" / name).write_text("")
    before = sorted(home.rglob("*"))
    arguments = command.split()
    if "--home" not in arguments and not command.startswith(("version", "bogus")):
        at = arguments.index("--") if "--" in arguments else len(arguments)
        arguments[at:at] = ["--home", str(home)]

    assert call(*arguments) == code

    said = capsys.readouterr()
    assert told in said.out + said.err
    assert "Traceback" not in said.err
    if code == 1:
        assert said.err.startswith("pinsphere: ")
        assert said.err.count("\n") == 1
    assert sorted(home.rglob("*")) == before


def test_a_broken_database_is_told_in_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No driver's own words about its innards, and no traceback."""
    (home / "pinsphere.db").write_bytes(b"no database" * 1000)
    assert call("db", "check", "--home", home) == 1
    monkeypatch.setenv("DATABASE_URL", "mysql://u:topsecret@h/x")
    assert call("db", "upgrade", "--home", home) == 1

    corrupt, foreign = capsys.readouterr().err.splitlines()
    assert "file is not a database" in corrupt
    assert "MySQLdb" in foreign or "unknown kind" in foreign
    assert "topsecret" not in foreign


def test_an_error_of_the_database_or_the_disk_has_no_traceback(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import OperationalError

    for error in (
        OperationalError("SELECT 1", None, Exception("disk I/O\nerror")),
        OSError(28, "No space left on device"),
    ):

        def fail(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr("pipelines.flows.setup.add_site", fail)
        assert call("init", "--site", "b", "--currency", "GBP", "--home", home) == 1

    assert capsys.readouterr().err.splitlines() == [
        "pinsphere: database: disk I/O error",
        "pinsphere: [Errno 28] No space left on device",
    ]


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the tests above: what we cannot explain must not look explained."""

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("pipelines.flows.setup.add_site", fail)
    with pytest.raises(ZeroDivisionError):
        call("init", "--site", "b", "--currency", "GBP")


def test_init_writes_what_settings_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first minute: a site, its snippet, and the secret its server signs with."""
    place = ["--home", tmp_path / "new", "--currency", "GBP"]
    assert call("init", "--site", "acme", *place, "--time-zone", "Europe/London") == 0
    said = capsys.readouterr().out
    assert call("init", "--site", "bolt-2", *place, "--origin", "https://b.example") == 0

    settings = Home(tmp_path / "new").settings()
    acme, bolt = settings.site("acme"), settings.site("bolt-2")
    assert (acme.currency, acme.time_zone, bolt.origins) == (
        "GBP",
        "Europe/London",
        ("https://b.example",),
    )
    assert f'data-site-key="{acme.key}"' in said
    assert re.search(r"export PINSPHERE_SECRET_ACME=[0-9a-f]{64}\n", said)
    assert bolt.secret_env == "PINSPHERE_SECRET_BOLT_2"
    assert (
        call("snippet", "--site", "acme", "--home", tmp_path / "new", "--beacon-url", "https://b/")
        == 0
    )
    assert current_script().tag("https://b", acme.key) in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"\xff", b"sites = 1", b"sites = ["])
def test_init_leaves_a_file_it_cannot_read_as_it_is(home: Path, content: bytes) -> None:
    (home / "pinsphere.toml").write_bytes(content)

    assert call("init", "--site", "b", "--currency", "GBP", "--home", home) == 1

    assert (home / "pinsphere.toml").read_bytes() == content


@pytest.mark.parametrize("value", ['a"b', "a\nb", 'x"\nkey = "y'])
def test_init_writes_no_value_that_breaks_out_of_its_quotes(home: Path, value: str) -> None:
    """A pasted value must not become a setting of its own."""
    for option in ("--currency", "--time-zone"):
        given = {"--currency": "GBP", "--time-zone": "UTC"} | {option: value}
        words = [word for pair in given.items() for word in pair]
        assert call("init", "--site", "b", "--home", home, *words) == 2
    assert set(Home(home).settings().sites) == {"acme"}


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("version") == 0
    text = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{capsys.readouterr().out.strip()}"' in text


HELP = """
import resource, sys, pinsphere
pinsphere.main(["--help"])
heavy = {"apache_beam", "sqlalchemy", "pyarrow", "granian", "pipelines"} & set(sys.modules)
used = resource.getrusage(resource.RUSAGE_SELF)
print(sorted(heavy), used.ru_utime + used.ru_stime, file=sys.stderr)
"""


def test_help_names_every_command_and_waits_for_nothing() -> None:
    """Who asks for help must not wait for Beam."""
    done = subprocess.run(
        [sys.executable, "-c", HELP],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    for command in (
        "init",
        "demo",
        "beacon",
        "run",
        "import",
        "export",
        "db",
        "lake",
        "erase",
        "doctor",
        "console",
        "report",
        "snippet",
        "version",
    ):
        assert re.search(rf"^\W*{command}\b", done.stdout, re.MULTILINE), command
    heavy, seconds = done.stderr.rsplit(" ", 1)
    assert heavy == "[]"
    assert float(seconds) < 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Arrow may lack it")
@pytest.mark.parametrize(("named", "taken"), [({}, "jemalloc"), ({POOL: "system"}, "system")])
def test_libraries_load_with_the_allocator_that_keeps_least(
    named: dict[str, str], taken: str
) -> None:
    """Thirty million events passed a gigabyte without it; an operator's own choice goes first."""
    code = "import command_line\nwith command_line.loading(): import pyarrow\n"
    code += "print(pyarrow.default_memory_pool().backend_name)"
    environment = {name: value for name, value in os.environ.items() if name != POOL} | named

    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=True
    )

    assert told.stdout.decode().strip() == taken


def test_no_process_ends_in_a_traceback(tmp_path: Path) -> None:
    """The same through a real process: the code reaches the shell."""
    done = subprocess.run(
        [sys.executable, "-m", "pinsphere", "db", "check", "--home", "typo"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("pinsphere: no database at")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "mapping"),
    [
        ("", {}),
        ("order_id=InvoiceNo", {"order_id": "InvoiceNo"}),
        (" order_id=Invoice No , item_id=Stock,", {"order_id": "Invoice No", "item_id": "Stock"}),
        ("price=a=b", {"price": "a=b"}),
        ("price=Preis\u00a0\u20ac", {"price": "Preis\u00a0\u20ac"}),
    ],
)
def test_a_mapping_is_ours_equals_theirs(text: str, mapping: dict[str, str]) -> None:
    assert parse_mapping(text) == mapping


@pytest.mark.parametrize("text", ["order_id", "=x", "price=", "a=b,a=c", "a=\udcff"])
def test_a_malformed_mapping_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--map"):
        parse_mapping(text)


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--runner=FlinkRunner", "--parallelism=4"],
        ["--runner=flink"],
        ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"],
        ["--direct_running_mode=multi_processing", "--direct_num_workers=2"],
    ],
)
def test_beam_options_pass_through(options: list[str]) -> None:
    assert check_options(options) == options


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--modle=linear", "unknown Beam option '--modle'"),
        ("FlinkRunner", "not of the form --name=value"),
        ("-r", "not of the form"),
        ("--direct_running_mode=multi_threading", "loses rows without an error"),
        ("--direct_num_workers=many", "invalid int value: 'many'"),
        ("--runner=Nonsense", "Valid values are"),
        ("--runner=no.such.Runner", "No module named 'no'"),
        ("--runner=os.path", "--runner=os.path"),
    ],
)
def test_a_beam_option_that_beam_would_drop_is_refused(option: str, reason: str) -> None:
    """Beam warns and goes on; a typing error must never run the job."""
    with pytest.raises(UsageError, match=re.escape(reason)):
        check_options([option])


@pytest.mark.flow
def test_an_empty_home_publishes_and_then_has_nothing_new(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON lines where no terminal is: a scheduler's log is read by programs."""
    ends = []
    for _ in range(2):
        assert call("run", "--shards", 1, "--home", home) == 0
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        done = [line["step"] for line in lines if line.get("state") == "done" and "step" in line]
        assert done[:2] == ["Draining", "Reading the lake"]
        ends.append(lines[-1])

    first, second = ends
    assert first["step"] == second["step"] == "Done"
    assert (first["is_new"], second["is_new"]) == (True, False)
    assert first["run_id"] == second["run_id"]
    assert first["database"] == f"sqlite:///{home / 'pinsphere.db'}"


@pytest.mark.flow
def test_orders_from_a_file_to_checked_tables_and_back(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole way of a shop that begins with an export."""
    place = ("--home", home)
    (home / "o.csv").write_text(ORDERS.replace("order_id,", "Invoice,") + "3,nonsense,mug,1,1\n")

    assert call("run", *place) == 0
    assert (
        call(
            "import",
            "orders",
            home / "o.csv",
            "--site",
            "acme",
            "--map",
            "order_id=Invoice",
            *place,
        )
        == 0
    )
    said = capsys.readouterr()
    assert "3 rows read: 2 lines of 2 orders, 0 lines of 0 refunds, 1 quarantined" in said.out
    assert str(home / "quarantine") in said.out
    first = json.loads(said.err.splitlines()[-1])["run_id"]
    assert call("run", *place) == 0
    done = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert done["rows"]["orders"] == 2
    assert call("db", "check", *place) == 0
    assert capsys.readouterr().out.count("holds: ") >= 4
    assert call("db", "restore", *place) == 0
    assert capsys.readouterr().out == f"published again: {first}\n"
    (home / "e.jsonl").write_text(
        '{"event_name":"touch","event_id":"e","event_time_ms":1790000000000,"channel":"email"}\n'
        '{"event_name":"identify","event_id":"i","event_time_ms":1790000000000,'
        '"customer_id":"c","consent":"denied"}\n'
    )
    assert call("import", "events", home / "e.jsonl", "--site", "acme", *place) == 0
    assert "2 lines read: 1 events, 0 quarantined, 1 withheld" in capsys.readouterr().out


@pytest.mark.flow
def test_the_demo_answers_the_five_questions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a newcomer runs first."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    run_demo(tmp_path / "demo", seed=1, version="test")

    said = capsys.readouterr().out
    assert "Published run" in said
    assert said.count("┏") == 5


def test_the_demo_removes_no_folder_but_its_own(home: Path) -> None:
    """`--home ~` must not cost anybody her files."""
    with pytest.raises(SettingsError, match="is no demo's; choose another --home"):
        run_demo(home, seed=1, version="test")

    assert (home / "pinsphere.toml").exists()
