"""Creates `tests/support/vendors.json`: the options of the vendors' commands that are printed.

Update it if a page prints a new command or a vendor has a new version:

1. Install the Azure CLI into its own virtual environment, outside this checkout: `python3.13 -m venv AZ`, then
   `AZ/bin/pip install azure-cli`.
2. Clone github.com/databricks/cli, github.com/Azure/azure-functions-core-tools and github.com/Azure/azure-dev.
3. `.venv/bin/python -m tests.support.vendors_table --az AZ/bin/python --databricks CLONE --func CLONE --azd CLONE`

The Azure CLI's own parser is used; sources of the others are read but not run. The extension scheduled-query is not
on PyPI, so its options come from its reference page.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

type Command = dict[str, Any]

_BOOLEAN = "0"


def _values(kind: str, choices: Iterable[str] = ()) -> str:
    """Return an option's number of values (0, 1, ? for 0 or 1, + for any) and its choices."""
    return " ".join([kind, *sorted(choices)])


_SCHEDULED_QUERY = ("condition+", "name", "resource-group", "scopes+")
_ALSO = (
    *(
        "action-groups+",
        "auto-mitigate?",
        "condition-query+",
        "description",
        "evaluation-frequency",
        "location",
        "severity",
    ),
    *("skip-query-validation?", "window-size"),
)
"""Required and used options of `az monitor scheduled-query create`.

https://learn.microsoft.com/cli/azure/monitor/scheduled-query
"""


def _extension() -> Command:
    kinds = {f"--{each.rstrip('+?')}": each[-1] for each in (*_SCHEDULED_QUERY, *_ALSO)}
    options = {
        option: _values(kind, ("true", "false")) if kind == "?" else "+" if kind == "+" else "1"
        for option, kind in kinds.items()
    }
    needed = [[f"--{each.rstrip('+?')}"] for each in _SCHEDULED_QUERY]
    return {"options": options | _SHARED, "required": needed, "positional": [0, 0]}


_SHARED = {"--output": "1", "--query": "1"}
"""Options of every Azure CLI command."""


# The Azure CLI: this part runs in its own Python.


def _az(names: list[str]) -> Command:
    cli = import_module("azure.cli.core").get_default_cli()
    import_module("azure.cli.core.file_util").create_invoker_and_load_cmds_and_args(cli)
    invocation = cli.invocation
    parsers = {name: one for name, one in _parsers(invocation.parser) if not dict(_parsers(one))}
    found = {name: _az_command(parsers[name]) for name in _longest(names, parsers)}
    version = f"{cli.get_cli_version()}, and the reference page of the extension scheduled-query"
    return {
        "version": version,
        "options": {},
        "commands": {**found, "monitor scheduled-query create": _extension()},
    }


def _parsers(parser: Any) -> Iterator[tuple[str, Any]]:  # argparse's, of azure-cli
    for action in parser._actions:  # argparse has no public way
        for name, below in (getattr(action, "choices", None) or {}).items() if action.nargs == "A..." else ():
            yield from ((f"{name} {each}".strip(), one) for each, one in (("", below), *_parsers(below)))


def _az_command(parser: Any) -> Command:
    options: dict[str, str] = {}
    required, positional = [], 0
    for action in parser._actions:
        strings = [str(each) for each in action.option_strings if not str(each).startswith("--___")]
        kind = {None: "1", "*": "+"}.get(action.nargs, str(action.nargs))
        options |= dict.fromkeys(strings, _values(kind, map(str, action.choices or ())))
        required += [strings] if strings and action.required else []
        positional += not action.option_strings
    return {"options": options, "required": required, "positional": [0, positional]}


# The Databricks CLI


def _databricks(clone: Path, names: list[str]) -> Command:
    files = {
        f"{'account ' if area == 'account' else ''}{file.stem}": file
        for area in ("account", "workspace")
        for file in (clone / "cmd" / area).glob("*/*.go")
        if file.stem == file.parent.name
    }
    known = {
        f"{group} {name}": command for group, file in files.items() for name, command in _go(file.read_text())
    }
    shared = "".join(file.read_text() for file in (clone / "cmd/root").glob("*.go"))
    options = {
        option: "1"
        for name, short in re.findall(r'PersistentFlags\(\)\.\w*VarP\([^"]*"([\w-]+)", "(\w)"', shared)
        for option in (f"--{name}", f"-{short}")
    }
    return {
        "version": _version(clone),
        "options": options,
        "commands": {name: known[name] for name in _longest(names, known)},
    }


def _go(source: str) -> Iterator[tuple[str, Command]]:
    """Yield each command of a group, from its constructor function."""
    for body in re.split(r"\nfunc new\w+\(\) \*cobra\.Command \{", source)[1:]:
        (use,) = re.findall(r'cmd\.Use = "([^"]*)"', body)[:1] or [""]
        flags = re.findall(r'cmd\.Flags\(\)\.(\w+)\([^"\n]*"([\w-]+)"', body)
        options = {
            f"--{name}": _BOOLEAN if kind.startswith("Bool") else "1"
            for kind, name in flags
            if kind != "Lookup"
        }
        name, *arguments = use.split() or [""]
        command: Command = {"options": options, "required": [], "positional": [len(arguments)] * 2}
        if with_json := re.findall(r'Changed\("json"\) \{\n\s*err := root\.ExactArgs\((\d)\)', body):
            command["with_json"] = int(with_json[0])
        yield name, command


# Azure Functions Core Tools


def _func(clone: Path, names: list[str]) -> Command:
    folder = clone / "src/Cli/func"
    actions = {file: file.read_text() for file in sorted((folder / "Actions").rglob("*Action*.cs"))}
    switches = re.findall(
        r'args\.Contains\("(--[\w-]+)"\)',
        "".join(f.read_text() for f in folder.rglob("GlobalCoreToolsSettings.cs")),
    )
    shared = "".join(
        text
        for file, text in actions.items()
        if file.name in {"BaseAzureAction.cs", "BaseFunctionAppAction.cs"}
    )
    known = {}
    for text in actions.values():
        for attribute in re.findall(r"\[Action\(([^\n]*)\)\]", text):
            words = dict(re.findall(r"(Name|Context|SubContext) = (?:Context\.|\")(\w+)", attribute))
            name = " ".join(words[key].lower() for key in ("Context", "SubContext", "Name") if key in words)
            options = {**_setups(shared if "Azure" in attribute else ""), **_setups(text)}
            # The base class takes the app's name as the first argument.
            named = int("BaseFunctionAppAction" in text)
            known[name] = {"options": options, "required": [], "positional": [named, named]}
    shared_options = dict.fromkeys(switches, _BOOLEAN)
    return {
        "version": _version(clone),
        "options": shared_options,
        "commands": {name: known[name] for name in _longest(names, known)},
    }


def _setups(text: str) -> dict[str, str]:
    return {
        option: _BOOLEAN if kind == "bool" else "1"
        for kind, short, name in re.findall(r"Setup<([\w?]+)>\((?:'(\w)', )?\"([\w-]+)\"\)", text)
        for option in (f"--{name}", *([f"-{short}"] if short else []))
    }


# azd


def _azd(clone: Path, names: list[str]) -> Command:
    folder = clone / "cli/azd/cmd/testdata"
    known = {
        words: file.read_text()
        for words in {words for name in names for words in _beginnings(name)}
        if (file := folder / f"TestUsage-azd-{words.replace(' ', '-')}.snap").exists()
    }
    found = {name: _usage(known[name]) for name in _longest(names, known)}
    return {"version": _version(clone), "options": {}, "commands": found}


def _usage(text: str) -> Command:
    """Return the command in a help text."""
    options = {
        option: "1" if kind else _BOOLEAN
        for short, name, kind in re.findall(r"^ +(?:(-\w), )?--([\w-]+)(?: (\w+))? *\t:", text, re.MULTILINE)
        for option in (f"--{name}", *([short] if short else []))
    }
    (usage,) = re.findall(r"\nUsage\n  azd ([^\n]*)", text)
    first = usage.partition(" | ")[0]
    most = 99 if "..." in usage else first.count("<")
    least = first.count("<") if "[<" not in first and "<service>" not in first else 0
    return {"options": options, "required": [], "positional": [least, most]}


# All vendors


def _beginnings(name: str) -> Iterator[str]:
    """Yield the name, then each shorter prefix of its words."""
    words = name.split()
    return (" ".join(words[:end]) for end in range(len(words), 0, -1))


def _longest(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return the longest prefix of each that is a command."""
    there = set(known)
    found = {next((each for each in _beginnings(name) if each in there), "") for name in names}
    return sorted(found - {""})


def _version(clone: Path) -> str:
    done = subprocess.run(
        ["git", "log", "-1", "--format=%H of %cs"],  # noqa: S607  # git from the PATH
        cwd=clone,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def _printed() -> dict[str, list[str]]:
    """Return the printed commands' first words by program."""
    from tests.support.printed import all_words  # noqa: PLC0415  # the Azure CLI's Python lacks the tests

    found: dict[str, set[str]] = {}
    for words in all_words():
        begins = re.match(r"(?: [a-z][a-z-]*)*", " " + " ".join(words[1:]))
        found.setdefault(words[0], set()).add(begins[0].strip() if begins else "")
    return {program: sorted(names) for program, names in found.items()}


def main() -> None:
    if sys.argv[1:] == ["az"]:
        print(json.dumps(_az(json.load(sys.stdin))))  # noqa: T201  # for the process below
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("az", "databricks", "func", "azd"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    printed = _printed()
    done = subprocess.run(  # the caller names the program
        [given.az, __file__, "az"],
        input=json.dumps(printed["az"]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    table = {
        "az": json.loads(done.stdout.splitlines()[-1]),
        "databricks": _databricks(given.databricks, printed["databricks"]),
        "func": _func(given.func, printed["func"]),
        "azd": _azd(given.azd, printed["azd"]),
    }
    Path(__file__).with_name("vendors.json").write_text(_lines(table) + "\n")


def _lines(table: dict[str, Command]) -> str:
    """Return JSON with a line per command."""
    parts = []
    for program, one in table.items():
        commands = [
            f"   {json.dumps(name)}: {json.dumps(command, sort_keys=True)}"
            for name, command in one["commands"].items()
        ]
        version, options = json.dumps(one["version"]), json.dumps(one["options"], sort_keys=True)
        listed = ",\n".join(commands)
        parts.append(
            f' {json.dumps(program)}: {{\n  "version": {version},\n  "options": {options},\n  "commands": {{\n{listed}\n  }}\n }}'
        )
    return "{\n" + ",\n".join(parts) + "\n}"


if __name__ == "__main__":
    main()
