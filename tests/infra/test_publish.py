"""Publishing: the command that works in a fresh checkout, wherever it stands, and its place among the steps."""

import re

import pytest

from tests.support.project_files import tracked
from tests.support.templates import PLAIN, next_steps

PUBLISH = re.compile("functionapp " + r"publish\b(?! --help)(.*)")


def without_language(text: str) -> list[str]:
    """Uses that Core Tools refuse: "Can't determine project language from files", since no file of ours tells them.

    The language comes from `--python`, from `FUNCTIONS_WORKER_RUNTIME` or from a `local.settings.json`, which is never committed:
    https://github.com/Azure/azure-functions-core-tools, `GlobalCoreToolsSettings.Init`.
    """
    return [rest for rest in PUBLISH.findall(text) if "--python" not in re.split("[`;|]", rest)[0]]


def test_the_command_names_the_language_wherever_it_stands() -> None:
    files = {name: text for name, text in tracked().items() if name != "tests/support/vendors.json"}
    uses = {name: PUBLISH.findall(text) for name, text in files.items() if PUBLISH.search(text)}
    assert {
        "README.md",
        "docs/setup.md",
        "docs/operations.md",
        "infra/README.md",
        "infra/main.bicep",
    } <= uses.keys()
    assert {name: without_language(text) for name, text in files.items() if without_language(text)} == {}


@pytest.mark.parametrize(
    "text",
    [
        "publish APP`",
        'publish "$APP"',
        "publish APP` and `func new --python`",
        "publish ${app.outputs.name}'",
    ],
)
def test_a_use_without_the_language_is_noticed(text: str) -> None:
    assert without_language(f"func azure functionapp {text}")


def test_the_steps_left_end_with_publishing() -> None:
    steps = next_steps(PLAIN)
    assert [step.partition(":")[0].partition(",")[0] for step in steps] == [
        "List",
        "Secret",
        "Let it in",
        "Deploy the list",
        "Wait five minutes",
        "Publish",
    ]
    given = PLAIN.outputs
    assert steps[-1].endswith(f"func azure functionapp publish {given['FUNCTION_APP_NAME']} --python")
    for step, needed in zip(
        steps, ["IDENTITY_CLIENT_ID", "KEY_VAULT_NAME", "IDENTITY_OBJECT_ID"], strict=False
    ):
        assert given[needed].strip("[]") in step
