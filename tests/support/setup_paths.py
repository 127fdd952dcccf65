"""The commands of the pages that lead a new user from an empty subscription to a run, for each tool and authentication method."""

import re
import shlex
from collections.abc import Iterator, Sequence

from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text()
SETUP = (ROOT / "docs/setup.md").read_text()
PERMISSIONS = (ROOT / "docs/permissions.md").read_text()
METHODS = ("federated", "oauth_secret", "managed_identity")
BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)

type Step = tuple[str, str, Sequence[str]]
"""A page, a heading on it, and the authentication methods that need the blocks right below."""

TOOLS = {"az": "With az", "azd": "With azd"}
"""The headings of the two ways to deploy the template."""
CREATE_LIST: Step = (SETUP, "Create the list", METHODS)
ONBOARD: Sequence[Step] = [
    (SETUP, "Create a service principal", ["federated", "oauth_secret"]),
    (SETUP, "Your role on the vault", ["oauth_secret"]),
    (SETUP, "Grant missing permissions", METHODS),
]
MANUAL_GRANTS: Sequence[Step] = [
    (SETUP, "Your role on the vault", ["oauth_secret"]),
    (PERMISSIONS, "Grant permissions manually", METHODS),
    (PERMISSIONS, "Azure DevOps", METHODS),
    (PERMISSIONS, "A service principal in Databricks", ["federated", "oauth_secret"]),
    (PERMISSIONS, "Variant: the managed identity", ["managed_identity"]),
    (PERMISSIONS, "The federation policy", ["federated"]),
    (PERMISSIONS, "The OAuth secret in Key Vault", ["oauth_secret"]),
    (PERMISSIONS, "CAN MANAGE on the folders", METHODS),
]
README_PATH: Sequence[Step] = [(SETUP, "Prerequisites", METHODS), (README, "Deploy it", METHODS)]
CLEAN_UP: Step = (SETUP, "Clean up", METHODS)
_VALUE = re.compile(r"export|[A-Z_]+(=[^$]*)?")


def setup_path(tool: str, grants: Sequence[Step]) -> list[Step]:
    """Return the steps from an empty subscription to the first run."""
    before = [(SETUP, heading, METHODS) for heading in ("Set up the app", "Prerequisites", TOOLS[tool])]
    publish = [(SETUP, "Publish the code", METHODS)] if tool == "az" else []
    return [*before, CREATE_LIST, *grants, (SETUP, "Deploy the list", METHODS), *publish]


def below(page: str, heading: str) -> str:
    """Return the text right below a heading, up to the next heading of any level."""
    _, found, rest = page.partition(f"# {heading}\n")
    assert found, heading
    return re.split(r"^##+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def blocks(text: str) -> list[str]:
    return BLOCK.findall(text)


def ends_of_init() -> dict[str, str]:
    """Return the end of the `init` command for each method."""
    ends = re.findall(r"(--auth (\w+)(?: --vault \S+)?)[`\n]", below(*CREATE_LIST[:2]))
    return {method: end for end, method in ends}


def pasted(steps: Sequence[Step], method: str) -> str:
    """Return all blocks of a path."""
    script = "".join(
        block
        for page, heading, methods in steps
        if method in methods
        for block in blocks(below(page, heading))
    )
    return script.replace("--auth federated", ends_of_init()[method])


def commands(script: str) -> Iterator[str]:
    """Yield each command, also if it has several lines. Assignments of fixed values are no commands."""
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
