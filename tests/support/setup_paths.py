"""The steps of a new user for each authentication method: the shell blocks of the pages."""

import re
import shlex
from collections.abc import Iterator, Sequence

from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text()
SETUP = (ROOT / "docs/setup.md").read_text()
BY_HAND = (ROOT / "docs/permissions.md").read_text()
WAYS = ("federated", "oauth_secret", "managed_identity")

type Step = tuple[str, str, Sequence[str]]
"""A page, its heading, and the methods that need the text below."""

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
"""Everything to read and paste, from an empty subscription to a successful run."""
TRYING: Step = (SETUP, "5. Try it from a laptop", WAYS)
AFTER: Step = (SETUP, "8. Clean up", WAYS)
_VALUE = re.compile(r"export|[A-Z_]+(=[^$]*)?")


def below(page: str, heading: str) -> str:
    """Return the text below a heading, up to the next heading."""
    _, found, rest = page.partition(f" {heading}\n")
    assert found, heading
    return re.split(r"^##+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def blocks(text: str) -> list[str]:
    return re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)


def ends_of_init() -> dict[str, str]:
    """Return the last lines of `init` for each method."""
    ends = re.findall(r"(--auth (\w+)(?: --vault \S+)?)[`\n]", below(SETUP, "2. The list"))
    return {way: end for end, way in ends}


def typed(steps: Sequence[Step], way: str) -> str:
    """Return the pasted blocks for a method, in sequence."""
    script = "".join(
        block for page, heading, ways in steps if way in ways for block in blocks(below(page, heading))
    )
    return script.replace("--auth federated", ends_of_init()[way])


def commands(script: str) -> Iterator[str]:
    """Yield each command, possibly over several lines; an assignment is not a command."""
    command = ""
    for line in script.splitlines():
        command += line
        if command.lstrip().startswith("for ") and line.strip() != "done":
            command += "\n"
            continue
        try:
            shlex.split(command)
        except ValueError:  # an open quotation
            command += "\n"
            continue
        if not all(_VALUE.fullmatch(word) for word in command.split()):
            yield command.strip()
        command = ""
    assert not command, command


def effort(steps: Sequence[Step], way: str) -> tuple[int, int, int, int]:
    """Return the number of commands, edits, pages and words.

    An edit is a user's own value, in a block or in a sentence with *Edit*. Words are separated by white
    space.
    """
    texts = [below(page, heading) for page, heading, ways in steps if way in ways]
    pasted = typed(steps, way)
    values = re.findall(r"^ *(?:export )?[A-Z_]+=[^$\s]+$", pasted, re.MULTILINE)
    edits = len(values) + sum(len(re.findall(r"\bEdit\b", text)) for text in texts)
    pages = {page for page, _, ways in steps if way in ways}
    return len([*commands(pasted)]), edits, len(pages), sum(len(text.split()) for text in texts)


BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
