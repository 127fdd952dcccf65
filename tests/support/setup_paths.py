"""What a new user types, from an empty list to green, for each way in which the app may sign in: the shell blocks of the pages."""

import re
import shlex
from collections.abc import Iterator, Sequence

from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text()
SETUP = (ROOT / "docs/setup.md").read_text()
BY_HAND = (ROOT / "docs/permissions.md").read_text()
WAYS = ("federated", "oauth_secret", "managed_identity")

type Step = tuple[str, str, Sequence[str]]
"""A page, a heading on it, and the ways that need what is right below."""

_LIST: Step = (SETUP, "2. The list", WAYS)
_VAULT: Sequence[Step] = [
    (SETUP, "The vault", ["oauth_secret"]),
    (SETUP, "Your own role on the vault", ["oauth_secret"]),
]
_END: Sequence[Step] = [(SETUP, "4. The app settings", WAYS), (SETUP, "6. Publish", WAYS)]
WITH_ONBOARD: Sequence[Step] = [
    _LIST,
    (SETUP, "A new service principal", ["federated", "oauth_secret"]),
    *_VAULT,
    (SETUP, "Grant what is missing", WAYS),
    *_END,
]
GRANTED_BY_HAND: Sequence[Step] = [
    (BY_HAND, "Azure DevOps", WAYS),
    (BY_HAND, "A service principal in Databricks", ["federated", "oauth_secret"]),
    (BY_HAND, "Variant: the managed identity itself", ["managed_identity"]),
    (BY_HAND, "The federation policy", ["federated"]),
    (BY_HAND, "The OAuth secret, in Key Vault", ["oauth_secret"]),
    (BY_HAND, "Can Manage on the folders", WAYS),
    (BY_HAND, "See that it is all there", WAYS),
]
BY_THE_OLD_WAY: Sequence[Step] = [_LIST, *_VAULT, *GRANTED_BY_HAND, *_END]
BEFORE: Sequence[Step] = [
    (SETUP, heading, WAYS)
    for heading in ("Setup", "0. What you need", "1. The function app and its identity")
]
VALUES_BY_HAND: Step = (BY_HAND, "By hand", WAYS)
PASTED_BY_HAND: Sequence[Step] = [_LIST, *_VAULT, VALUES_BY_HAND, *GRANTED_BY_HAND, *_END]
SHORT_WAY: Sequence[Step] = [(SETUP, "0. What you need", WAYS), (README, "Deploy it", WAYS)]
LONG_WAY: Sequence[Step] = [*BEFORE, *PASTED_BY_HAND, (SETUP, "7. See it green", WAYS)]
"""From an empty subscription to green: all that is read and pasted."""
TRYING: Step = (SETUP, "5. Try it from a laptop", WAYS)
AFTER: Step = (SETUP, "8. Clean up", WAYS)
_VALUE = re.compile(r"export|[A-Z_]+(=[^$]*)?")


def below(page: str, heading: str) -> str:
    """What stands right below a heading, up to the next of any kind."""
    _, found, rest = page.partition(f" {heading}\n")
    assert found, heading
    return re.split(r"^##+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def blocks(text: str) -> list[str]:
    return re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)


def ends_of_init() -> dict[str, str]:
    """How `init` ends for each way."""
    ends = re.findall(r"(--auth (\w+)(?: --vault \S+)?)[`\n]", below(SETUP, "2. The list"))
    return {way: end for end, way in ends}


def typed(steps: Sequence[Step], way: str) -> str:
    """What one pastes for a way, one block after the other."""
    script = "".join(
        block for page, heading, ways in steps if way in ways for block in blocks(below(page, heading))
    )
    return script.replace("--auth federated", ends_of_init()[way])


def commands(script: str) -> Iterator[str]:
    """Each command, which may go over several lines, as a loop does; a value that is written down is none."""
    command = ""
    for line in script.splitlines():
        command += line
        if command.lstrip().startswith("for ") and line.strip() != "done":
            command += "\n"
            continue
        try:
            shlex.split(command)
        except ValueError:  # a quotation that goes on
            command += "\n"
            continue
        if not all(_VALUE.fullmatch(word) for word in command.split()):
            yield command.strip()
        command = ""
    assert not command, command


def effort(steps: Sequence[Step], way: str) -> tuple[int, int, int, int]:
    """How many commands are run, values edited, pages and words read.

    An edit is a value of the reader's own, in a block or in a sentence that says *Edit*. Words are separated by white space.
    """
    texts = [below(page, heading) for page, heading, ways in steps if way in ways]
    pasted = typed(steps, way)
    values = re.findall(r"^ *(?:export )?[A-Z_]+=[^$\s]+$", pasted, re.MULTILINE)
    edits = len(values) + sum(len(re.findall(r"\bEdit\b", text)) for text in texts)
    pages = {page for page, _, ways in steps if way in ways}
    return len([*commands(pasted)]), edits, len(pages), sum(len(text.split()) for text in texts)


BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
