"""What the pages show of the commands: each is run on the embedded cloud, in this process."""

import io
import json
import os
import re
import shlex
import tempfile
import time
from collections.abc import Callable
from contextlib import chdir, closing
from dataclasses import dataclass
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

PAGE, PICTURE = "docs/examples.md", "docs/images/check.svg"
LIST = "workspaces.json"
MAX_LINES, MAX_PICTURE_LINES = 12, 25
COLUMNS = 100
_INTRO = """\
<!-- Made by `make docs` from tools/examples.py. Change it there. -->
# Tasks, as typed

For admins who edit the list of workspaces. Each command was run after `az login`, on an embedded cloud with three workspaces.
[How to install `git-refresh`](setup.md#0-what-you-need). `…` stands for further lines.
"""


class Laptop:
    """An admin's laptop, signed in to an embedded cloud, with a list of workspaces.

    Attributes:
        fleet: the workspaces, repositories and vault.
        admin: the person who is signed in, an administrator of everything.
        settings: the content of workspaces.json, as deployed until an example changes it.
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
        """Return the deployed settings, in the shape of workspaces.json."""
        settings = self.fleet.settings
        return {name: json.loads(v) if v[0] in "[{" else v for name, v in settings.items()}

    def run(self, command: str, exit_code: int = 0, *, color: bool = False) -> str:
        """Run a command of ours, and return what it writes to stdout.

        Raises:
            RuntimeError: it ended with another exit code.
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
    laptop.settings["WORKSPACES"][1]["folders"][0] = {"path": "/Repos/etl/prod", "tag": "v1.0.0"}


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
    """A command, its purpose, and what is changed before it is run."""

    title: str
    sentence: str
    command: str
    before: Callable[[Laptop], None] = _deployed
    exit_code: int = 0

    def section(self, laptop: Laptop) -> str:
        """Run the command, and return its section of the page."""
        self.before(laptop)
        lines = stable(laptop.run(self.command, self.exit_code)).rstrip().split("\n")
        more = ["…"] if len(lines) > MAX_LINES else []
        shown = [f"$ {self.command}", *(line.rstrip() for line in lines[:MAX_LINES]), *more]
        return "\n".join([f"## {self.title}", "", self.sentence, "", "```text", *shown, "```", ""])


EXAMPLES = (
    Example(
        "Write a first list",
        "From the URLs of a workspace, a repository and a vault, and the application ID of the service principal.",
        "git-refresh init --host https://adb-0000000000000001.1.azuredatabricks.net "
        "--repository https://dev.azure.com/contoso/Data%20Platform/_git/etl "
        f"--client-id {CLIENT_ID} --vault https://contoso.vault.azure.net",
        _unlisted,
    ),
    Example(
        "Check the list before it is merged",
        "In a pipeline: `--offline` calls no service. This list has one mistake in forty entries, and two in a folder.",
        f"git-refresh check {LIST} --offline",
        _mistakes,
        2,
    ),
    Example(
        "See what deploying the list would change",
        "The list has a new workspace, and another branch for a folder. Exit code 3: something differs.",
        f"git-refresh deploy --app {APP} --exit-code",
        _new_workspace,
        3,
    ),
    Example(
        "Grant what a new workspace needs",
        "This command shows the plan only. With `--apply` it grants, then checks.",
        "git-refresh onboard --object-id 1b2c3d4e-0000-4000-8000-00000000001d --quiet",
        _new_workspace,
    ),
    Example("See what a run would do", "Before the first run.", "git-refresh plan"),
    Example(
        "Do one run now",
        "Without `--yes` it asks first.",
        "git-refresh run --yes",
    ),
    Example(
        "See how the fleet stands",
        "The list has a tag for a folder, and no run has moved the folder to it yet.",
        "git-refresh status",
        _tag,
    ),
    Example(
        "See which OAuth secrets expire soon",
        "With `--apply` it creates new secrets and stores them.",
        "git-refresh rotate --within 200d",
    ),
    Example(
        "Find out why a workspace is stale",
        "The service principal was removed from the workspace. `--quiet` shows failures only.",
        "git-refresh check --quiet",
        _removed_principal,
        1,
    ),
    Example(
        "Find out what failed last night",
        "From the logs of the deployed app. In its last run the service principal was still missing.",
        f"git-refresh runs --app {APP} --failed",
        _failed_run,
        1,
    ),
    Example(
        "Look up a code from an alert",
        "Offline. Words in capitals stand for your values.",
        "git-refresh explain secret_expires_soon",
    ),
)


def page() -> str:
    """Return the page of tasks."""
    with Cloud() as cloud, tempfile.TemporaryDirectory() as place:
        laptop = Laptop(cloud, Path(place))
        return "\n".join([_INTRO, *(example.section(laptop) for example in EXAMPLES)])


# ---- The picture ----

_THEME = TerminalTheme(
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
_FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "Fira Code, monospace", "ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace"
)
"""rich's own, without fonts from elsewhere."""


def picture() -> str:
    """Return `check` of a workspace with one failure, as SVG."""
    command = "git-refresh check --only data-2"
    with Cloud() as cloud, tempfile.TemporaryDirectory() as place:
        laptop = Laptop(cloud, Path(place))
        _removed_principal(laptop)
        shown = laptop.run(command, 1, color=True)
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.assemble(("$ ", "dim"), (command, "bold")), no_wrap=True)
    console.print(Text.from_ansi(stable(shown)), end="")
    return console.export_svg(title=command, theme=_THEME, code_format=_FORMAT, unique_id="terminal")


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
    """Return the text with commits, IDs and times that depend only on the order in which they appear."""
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
