"""The programs accept each printed command, and bash and zsh read it as intended."""

import itertools
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import click
import pytest

from tests.support import printed, vendors
from tests.support.printed import parse
from tests.support.shells import INSTALLED, STAND_INS, Call

OURS = ("python", "-m", "git_refresh")
KNOWN_ELSEWHERE = {"az devops user add", "az databricks workspace list"}
"""Commands of other extensions that pages only name."""
REMEDIES = [
    (code, command) for code, command in (*printed.remedies(), *printed.for_others(), *printed.removals())
]

in_each_shell = pytest.mark.parametrize("shell", INSTALLED)


def refused(calls: Iterable[Call]) -> list[str]:
    """Return the reasons for which the programs would reject calls."""
    return [why for call in calls if (why := _why(call.words))]


def _why(words: tuple[str, ...]) -> str:
    try:
        if words[0] in printed.PROGRAMS:
            vendors.check(words)
        elif words[:3] == OURS:
            parse(shlex.join(words[3:]))
        elif words[0] == "git-refresh":
            parse(shlex.join(words[1:]))
    except (vendors.RefusedError, click.UsageError, ValueError) as error:
        return f"{shlex.join(words)}: {error}"
    return ""


@in_each_shell
@pytest.mark.parametrize("page", printed.WITH_BLOCKS)
def test_the_blocks_of_a_page_are_commands_that_their_programs_take(page: str, shell: str) -> None:
    calls = printed.calls(printed.pasted(page), shell)
    assert calls
    assert refused(calls) == []


@pytest.mark.skipif(len(INSTALLED) < 2, reason="one shell alone")
@pytest.mark.parametrize("page", printed.WITH_BLOCKS)
def test_the_blocks_of_a_page_are_read_alike_by_both_shells(page: str) -> None:
    first, second = (Counter(printed.calls(printed.pasted(page), shell)) for shell in INSTALLED)
    assert first == second


@in_each_shell
@pytest.mark.parametrize("page", printed.WITH_BLOCKS)
def test_a_program_is_given_what_the_page_means(page: str, shell: str) -> None:
    text = printed.pasted(page)
    given = Counter(call.words for call in printed.calls(text, shell))
    assert not Counter(meant(text)) - given


def meant(text: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of the simple commands of a script, with its variables filled in."""
    known: dict[str, list[str]] = {}
    for line in map(str.strip, text.splitlines()):
        if loop := re.fullmatch(r"for (\w+) in (.*); do", line):
            known[loop[1]] = loop[2].split()
        elif assigned := re.fullmatch(r"(?:export )?([A-Z_]+)=(\$\(.*|\S+)", line):
            known[assigned[1]] = ["standins" if assigned[2].startswith("$") else assigned[2]]
        elif line.partition(" ")[0] in STAND_INS and not _MORE.search(re.sub(r"'[^']*'", "", line)):
            yield from _filled(line, known)


_MORE = re.compile(r"\$\(|[|;<>]|&&|\\$|\$\d")
"""Syntax of lines that are more than one simple command."""


def _filled(line: str, known: dict[str, list[str]]) -> Iterator[tuple[str, ...]]:
    words = shlex.split(re.sub(r"'[^']*'", lambda found: found[0].replace("$", "\0"), line))
    names = sorted({name for word in words for name in _VARIABLE.findall(word)})
    if any(name not in known for name in names):
        return
    for chosen in itertools.product(*(known[name] for name in names)):
        values = dict(zip(names, chosen, strict=True))
        yield tuple(_put_in(word, values).replace("\0", "$") for word in words)


def _put_in(word: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: values[found[1]], word)


_VARIABLE = re.compile(r"\$\{?([A-Z_]+)\}?")


@in_each_shell
def test_remedies_are_commands_that_their_programs_take(shell: str) -> None:
    calls = printed.calls("\n".join(command for _, command in REMEDIES), shell)
    assert len(calls) >= len(REMEDIES)
    assert refused(calls) == []


@pytest.mark.skipif(len(INSTALLED) < 2, reason="one shell alone")
def test_remedies_are_read_alike_by_both_shells() -> None:
    text = "\n".join(command for _, command in REMEDIES)
    first, second = (Counter(printed.calls(text, shell)) for shell in INSTALLED)
    assert first == second


@pytest.mark.parametrize(("code", "command"), REMEDIES)
def test_a_command_about_an_account_gets_its_host(code: str, command: str) -> None:
    for call in printed.calls(command) if "databricks account" in command else ():
        if call.words[:2] == ("databricks", "account"):
            assert call.host_and_account == f"https://accounts.azuredatabricks.net {printed.GUID}", code


@pytest.mark.parametrize("text", [text for _, text in (*printed.in_prose(), *printed.in_pipelines())])
def test_a_command_in_prose_or_in_a_pipeline_is_one_that_its_program_takes(text: str) -> None:
    words = tuple(shlex.split(text))
    if words[0] not in printed.PROGRAMS:
        pytest.skip("ours")
    if text in KNOWN_ELSEWHERE:
        return
    name, of_words = vendors.command_of(words)
    assert name
    if words[of_words:]:
        assert _why(words) == ""


@pytest.mark.parametrize("text", [text for _, text in printed.in_messages()])
def test_a_command_in_a_message_exists_with_its_options(text: str) -> None:
    if text in KNOWN_ELSEWHERE:
        return
    words = shlex.split(text)
    name, _ = vendors.command_of(words)
    options = vendors.TABLE[words[0]]["commands"][name]["options"]
    assert {word for word in words if word.startswith("--")} <= options.keys()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("az keyvault secret sett --name a", "no such command"),
        ("az keyvault secret set --name a --value b", "needs"),
        ("az keyvault secret set --vault-name v --name", "needs a value"),
        ("az role assignment create --role r --scope s --assigne x", "no option --assigne"),
        ("az role assignment create --role r --scope s --assignee-principal-type Robot", "takes"),
        ("az functionapp identity show app", "arguments"),
        ("databricks account service-principal-federation-policy create", "takes 1 to 1"),
        ("databricks ip-access-lists create label ALLOW --json '{}'", "takes 0 to 0"),
        ("databricks git-credentials delete 1 --forces", "no option"),
        ("databricks service-principals create --json '{'", "Expecting"),
        ("func azure functionapp publish --python", "takes 1 to 1"),
        ("azd env get-values NAME", "no such command"),
        ("git-refresh onboard --aply", "No such option"),
        ("read -rs X; az keyvault secret set --vault-name v --name n --valeu $X", "no option"),
    ],
)
def test_a_broken_command_is_noticed(line: str, why: str) -> None:
    (found,) = refused(printed.calls(line))
    assert why in found


@pytest.mark.skipif("zsh" not in INSTALLED, reason="zsh is not installed")
@pytest.mark.parametrize(
    "line", ['az x "repo:$A:environment:$B"', "az x # a comment", "az x --query [].id", "az x $B"]
)
def test_what_zsh_reads_otherwise_than_bash_is_noticed(line: str) -> None:
    def read(shell: str) -> tuple[Call, ...] | str:
        try:
            return printed.calls(f"A=a/b B='c d'\n{line}", shell)
        except AssertionError as error:
            return str(error)

    assert read("zsh") != read("bash")
