"""Examples of the commands and pictures of the demo for the pages, recorded on the emulator."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import chdir, closing
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from rich.console import CONSOLE_SVG_FORMAT, Console  # type: ignore[attr-defined]  # the default of `export_svg`
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from git_refresh.cli.main import main
from localcloud import Cloud, seed
from localcloud.fleet import APP, CLIENT_ID, ORGANIZATION, SECRET
from localcloud.host import Host
from tools.queries import ROOT

PAGE = "docs/examples.md"
LIST = "workspaces.json"
MAX_LINES, MAX_PICTURE_LINES = 5, 25
COLUMNS, PICTURE_COLUMNS = 100, 90
_INTRO = """\
<!-- Made by `make docs` from tools/examples.py. Change it there. -->
# Examples

[Documentation](README.md) > Use > Examples

For editors of the workspace list: common tasks, with commands and output.
[Install `git-refresh`](setup.md#prerequisites), and run `az login`.
`…` stands for further lines.
"""


class Laptop:
    """The laptop of an admin who is signed in to the emulator, with a workspace list.

    Attributes:
        admin: the account that is signed in, an administrator of everything.
        settings: the content of workspaces.json.
    """

    def __init__(self, cloud: Cloud, place: Path) -> None:
        self.cloud, self.place = cloud, place
        self.fleet = seed(cloud)
        self.fleet.repositories[0].tag("v1.0.0")
        self.fleet.repositories[0].commit({"jobs/load.py": "print('load, faster')\n"})
        self.admin = cloud.person("you")
        cloud.devops.organization(ORGANIZATION).add_administrator(self.admin.object_id)
        cloud.account.admins.add(self.admin.object_id)
        self.fleet.vault.allow_writing(self.admin.object_id)
        self.fleet.app.group.assign(self.admin.object_id, "Website Contributor", "Monitoring Reader")
        for workspace in self.fleet.workspaces:
            workspace.add_user(self.admin, admin=True)
        az = self.admin.sign_in(place / "bin")
        self._environ: dict[str, str | None] = {
            **cloud.environment(),
            **dict.fromkeys((*self.fleet.settings, "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "NO_COLOR")),
            "PATH": f"{az}{os.pathsep}{os.environ['PATH']}",
            "TTY_COMPATIBLE": "1",
            "COLUMNS": str(COLUMNS),
            "LINES": "100",
        }
        self.settings = self.deployed()

    def deployed(self) -> dict[str, Any]:
        """Return the deployed settings as workspaces.json has them."""
        settings = self.fleet.settings
        return {name: json.loads(v) if v[0] in "[{" else v for name, v in settings.items()}

    def run(self, command: str, exit_code: int = 0, *, color: bool = False) -> str:
        """Run `git-refresh`, and return its stdout.

        Raises:
            RuntimeError: another exit code.
        """
        if self.settings:
            (self.place / LIST).write_text(json.dumps(self.settings, indent=2), encoding="utf-8")
        program, *arguments = shlex.split(command)
        environ = {**self._environ, "TERM": "xterm-256color" if color else "dumb"}
        with chdir(self.place):
            done = CliRunner().invoke(main, arguments, None, environ, prog_name=program)
        if done.exit_code != exit_code:
            raise RuntimeError(f"{command}: exit code {done.exit_code}, not {exit_code}:\n{done.output}")
        return done.stdout


def _unlisted(laptop: Laptop) -> None:
    laptop.settings = {}


def _deployed(laptop: Laptop) -> None:
    laptop.settings = laptop.deployed()


def _mistakes(laptop: Laptop) -> None:
    _deployed(laptop)
    entries = laptop.settings["WORKSPACES"]
    entries[1]["folders"] = [{"path": "Repos/etl/prod", "brnach": "main"}]
    entries += [f"http://adb-{number}.7.azuredatabricks.net" for number in range(11, 51)]


def _new_workspace(laptop: Laptop) -> None:
    _deployed(laptop)
    entries = laptop.settings["WORKSPACES"]
    new = laptop.cloud.workspace("adb-0000000000000004.4.azuredatabricks.net")
    new.ungranted = True
    new.add_user(laptop.admin, admin=True)
    entries.append({"host": new.url, "name": "data-4", "folders": entries[0]["folders"]})
    entries[2]["folders"][1]["branch"] = "release"


def _tag(laptop: Laptop) -> None:
    _deployed(laptop)
    laptop.settings["WORKSPACES"][0]["folders"][0] = {"path": "/Repos/etl/prod", "tag": "v1.0.0"}


def _removed_principal(laptop: Laptop) -> None:
    _deployed(laptop)
    workspace = laptop.fleet.workspaces[1]
    workspace.members.principals.remove(workspace.service_principal(CLIENT_ID, SECRET))


def _failed_run(laptop: Laptop) -> None:
    _removed_principal(laptop)
    with closing(Host(laptop.cloud, laptop.fleet)) as host:
        host.run_now()
        while not host.runs:
            host.step()
            time.sleep(0.1)


@dataclass(frozen=True, slots=True)
class Example:
    """A command, the number of output lines on the page, and a step before the command runs."""

    title: str
    sentence: str
    command: str
    lines: int
    before: Callable[[Laptop], None] = _deployed
    exit_code: int = 0

    def section(self, laptop: Laptop) -> str:
        """Run the command, and return its section of the page."""
        self.before(laptop)
        lines = stable(laptop.run(self.command, self.exit_code)).rstrip().split("\n")
        more = ["…"] if len(lines) > self.lines else []
        shown = [f"$ {self.command}", *(line.rstrip() for line in lines[: self.lines]), *more]
        sentence = [self.sentence, ""] if self.sentence else []
        return "\n".join([f"## {self.title}", "", *sentence, "```text", *shown, "```", ""])


EXAMPLES = (
    Example(
        "Create a first list",
        "`init` takes the URLs of a workspace, a repository, and a vault.",
        "git-refresh init --host https://adb-0000000000000001.1.azuredatabricks.net "
        "--repository https://dev.azure.com/contoso/Data%20Platform/_git/etl "
        f"--client-id {CLIENT_ID} --vault https://contoso.vault.azure.net",
        2,
        _unlisted,
    ),
    Example(
        "Check the list before it is merged",
        "With `--offline`, `check` calls no service.",
        f"git-refresh check {LIST} --offline",
        4,
        _mistakes,
        2,
    ),
    Example(
        "Preview the permissions of a new workspace",
        "`+` marks a missing permission.\nTo grant it, add `--apply`.",
        "git-refresh onboard --object-id 1b2c3d4e-0000-4000-8000-00000000001d --quiet",
        2,
        _new_workspace,
    ),
    Example(
        "Preview a deployment of the list",
        "`~` marks a change, and `+` an addition.\nWith `--exit-code`, the exit code is 3 if differences exist.",
        f"git-refresh deploy --app {APP} --exit-code",
        4,
        _new_workspace,
        3,
    ),
    Example(
        "Preview a run",
        "`+` is created, and `~` is updated.",
        "git-refresh plan --only data-1",
        4,
    ),
    Example(
        "Run once now",
        "The command stores your own token.\nWithout `--yes`, it asks first.",
        "git-refresh run --yes",
        3,
    ),
    Example(
        "Compare the workspaces with the list",
        "`!` marks a difference.\nHere, the list has a new tag.",
        "git-refresh status",
        4,
        _tag,
    ),
    Example(
        "Preview a rotation of OAuth secrets",
        "To rotate them, add `--apply`.",
        "git-refresh rotate --within 200d",
        3,
    ),
    Example(
        "Find the cause of a failed run",
        "The code, here `not_in_workspace`, is in [Troubleshooting](troubleshooting.md).",
        f"git-refresh runs --app {APP} --failed",
        5,
        _failed_run,
        1,
    ),
    Example(
        "Explain the code of an alert",
        "",
        "git-refresh explain secret_expires_soon",
        4,
    ),
)


def page() -> str:
    """Return the page of examples."""
    with Cloud() as cloud, tempfile.TemporaryDirectory() as place:
        laptop = Laptop(cloud, Path(place))
        return "\n".join([_INTRO, *(example.section(laptop) for example in EXAMPLES)])


# ---- The pictures ----

_LIGHT = TerminalTheme(
    (255, 255, 255),
    (36, 41, 47),
    [
        (36, 41, 47),
        (207, 34, 46),
        (17, 99, 41),
        (125, 78, 0),
        (9, 105, 218),
        (130, 80, 223),
        (27, 124, 131),
        (110, 119, 129),
    ],
)
_DARK = TerminalTheme(
    (13, 17, 23),
    (230, 237, 243),
    [
        (72, 79, 88),
        (255, 123, 114),
        (63, 185, 80),
        (210, 153, 34),
        (88, 166, 255),
        (188, 140, 255),
        (57, 197, 207),
        (177, 186, 196),
    ],
)
PICTURES = {"docs/images/run.svg": _LIGHT, "docs/images/run-dark.svg": _DARK}
"""The themes have the colors of GitHub, where the README shows the pictures on light and dark pages."""
_FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "Fira Code, monospace", "ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace"
)
"""The default format of `export_svg` without fonts from other hosts."""
_PARTS = (
    (re.compile(r"^.*: (?:SUCCESS|FAILED)\b.*\n(?:\S.*\n)*", re.MULTILINE), 2),
    (re.compile(r"^.*\(\d+\.\d s\) *\n.*\n(?:.* /Repos/.*\n)+", re.MULTILINE), 2),
    (re.compile(r"^ *✗ .*\n(?: {4}\S.*\n)*", re.MULTILINE), 1),
)
"""Parts of the demo in the pictures, and how many of each: results of jobs, tables of runs, failures."""


def picture(name: str) -> str:
    """Return a shortened recording of `make run` as SVG."""
    console = Console(record=True, width=PICTURE_COLUMNS, file=io.StringIO())
    console.print(_recording(), end="", no_wrap=True)
    return console.export_svg(title="", theme=PICTURES[name], code_format=_FORMAT, unique_id="terminal")


@cache
def _recording() -> Text:
    command = [sys.executable, "-m", "localcloud.demo"]
    environ = {**os.environ, "FORCE_COLOR": "1", "TTY_INTERACTIVE": "0", "TERM": "xterm-256color"}
    environ |= {"COLUMNS": str(PICTURE_COLUMNS), "NO_COLOR": ""}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True)  # noqa: S603  # this interpreter
    text = Text.from_ansi(done.stdout)
    found = [part.span() for pattern, count in _PARTS for part in islice(pattern.finditer(text.plain), count)]
    failed, first_run, succeeded, second_run, failure = (text[slice(*span)] for span in sorted(found))
    shown = Text.assemble(
        *(("$ ", "dim"), ("make run\n", "bold"), failed, "\n"),
        *(first_run, succeeded, ("…\n", "dim"), second_run, failure, "\n"),
    )
    shown.plain = stable(shown.plain)
    return shown


# ---- The same output each time ----

_CHANGING = {
    "commit": re.compile(r"(?<![0-9A-Za-z-])[0-9a-f]{8}(?![0-9A-Za-z-])"),
    "id": re.compile(r"(?!5a1e0000-)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "date": re.compile(r"\b20\d\d-\d\d-\d\d\b"),
    "time": re.compile(r"\b\d\d:\d\d(?::\d\d)?\b"),
    "duration": re.compile(r"(?<=[( ])\d+\.\d(?= s\b)"),
    "minutes": re.compile(r"\b[56]\d(?= min(?:utes)?\b)"),
    "ago": re.compile(r"\b\d(?= minutes\b)"),
}
"""All IDs but that of the examples' service principal."""
_FIXED = {"date": "2027-05-31", "duration": "0.4", "minutes": "64", "ago": "3"}


def stable(text: str) -> str:
    """Replace commits, IDs and times by values that depend only on their order."""
    for kind, pattern in _CHANGING.items():
        text = pattern.sub(_replacement(kind), text)
    return text


def _replacement(kind: str) -> Callable[[re.Match[str]], str]:
    known: dict[str, int] = {}

    def replace(found: re.Match[str]) -> str:
        number = known.setdefault(found[0], len(known))
        match kind:
            case "commit":
                return f"{0x3FA1C07E * (2 * number + 1) % 2**32:08x}"
            case "id":
                return f"7d4c0000-0000-4000-8000-{number + 1:012}"
            case "time":
                return "12:05:00"[: len(found[0])]
        return _FIXED[kind]

    return replace
