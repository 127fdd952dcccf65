"""The templates and their snapshots, checked by the pinned Bicep CLI if it is on the PATH."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.infra.conftest import usable_cli
from tests.support.templates import resources_of
from tools import bicep, snapshots
from tools.queries import ROOT

INFRA = ROOT / "infra"
ASSIGNING = ["access", "keyVaultAccess", "keyVaultAccessOfZones"]
"""The modules that assign roles."""


def test_the_snapshots_are_made_from_the_sources_of_today() -> None:
    assert snapshots.out_of_date() == []


def test_a_changed_source_is_named_with_the_command_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    made_from = [line.split("  ") for line in snapshots.SOURCES.read_text().splitlines()]
    now = {name: digest for digest, name in made_from} | {"infra/modules/alerts.bicep": "another"}
    monkeypatch.setattr(snapshots, "sources", lambda: now)
    changed, remedy = snapshots.out_of_date()
    assert changed == "infra/modules/alerts.bicep"
    assert remedy.endswith("make snapshots")


def test_every_variant_has_a_snapshot_and_every_snapshot_a_variant() -> None:
    made = {path.name.removesuffix(".snapshot.json") for path in snapshots.FOLDER.glob("*.snapshot.json")}
    assert made == {variant.stem for variant in snapshots.parameter_files()}


def test_the_compiled_template_is_that_of_the_pinned_version() -> None:
    generator = json.loads(snapshots.TEMPLATE.read_text())["metadata"]["_generator"]
    assert generator["version"].startswith(f"{bicep.VERSION}.")


def test_the_compiled_template_is_what_the_templates_compile_to(cli: str) -> None:
    assert snapshots.compiled(cli) == snapshots.TEMPLATE.read_text()


@pytest.mark.parametrize("variant", snapshots.parameter_files(), ids=lambda path: path.stem)
def test_a_snapshot_is_what_would_be_deployed(variant: Path, cli: str) -> None:
    assert snapshots.differences(cli, variant) == ""


def test_the_linter_finds_nothing_in_the_templates(cli: str) -> None:
    """The check includes the modules of main.bicep."""
    done = bicep.run(cli, "lint", str(INFRA / "main.bicep"))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_what_if_shows_all_but_the_modules_that_assign_roles(cli: str, tmp_path: Path) -> None:
    """For a module that the rule finds, `az deployment group what-if` cannot show resources."""
    infra = shutil.copytree(INFRA, tmp_path / "infra")
    main = (infra / "main.bicep").read_text()
    directive = "#disable-next-line what-if-short-circuiting\n"
    assert main.count(directive) == len(ASSIGNING)
    (infra / "main.bicep").write_text(main.replace(directive, "\n"))
    found = bicep.run(cli, "lint", str(infra / "main.bicep")).stderr.splitlines()
    assert {line.partition(" Warning ")[2].partition(":")[0] for line in found} == {
        "what-if-short-circuiting"
    }
    assert sorted(re.findall(r"in the module '(\w+)'", "\n".join(found))) == ASSIGNING


def test_modules_that_assign_roles_hold_nothing_else() -> None:
    modules = json.loads(snapshots.TEMPLATE.read_text())["resources"]
    kinds = {
        name: {resource["type"] for resource in resources_of(module["properties"]["template"])}
        for name, module in modules.items()
        if "template" in module.get("properties", {})
    }
    role = "Microsoft.Authorization/roleAssignments"
    assert sorted(name for name, types in kinds.items() if role in types) == ASSIGNING
    assert [kinds[name] for name in ASSIGNING] == [{role}] * len(ASSIGNING)


def test_each_rule_of_the_linter_is_on_or_has_a_reason() -> None:
    lines = (INFRA / "bicepconfig.json").read_text().splitlines()
    rules = [(number, line) for number, line in enumerate(lines) if '"level"' in line]
    assert len(rules) > 50
    for number, line in rules:
        off = '"off"' in line
        assert off or '"warning"' in line, line
        assert lines[number - 1].strip().startswith("// ") == off, line


def test_the_formatter_changes_nothing(cli: str, tmp_path: Path) -> None:
    files = [INFRA / "main.bicep", *(INFRA / "modules").glob("*.bicep"), *snapshots.parameter_files()]
    for file in files:
        shutil.copy(file, tmp_path)
    done = bicep.run(cli, "format", "--pattern", "*.bicep*", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [file.name for file in files if (tmp_path / file.name).read_text() != file.read_text()] == []


def test_the_parameters_file_compiles(cli: str) -> None:
    """Users edit the file, so neither linter nor formatter checks it."""
    done = bicep.run(cli, "build-params", str(INFRA / "app.bicepparam"), "--stdout")
    assert done.returncode == 0, done.stderr


def fake(folder: Path, script: str) -> None:
    program = folder / "bicep"
    program.write_text(script)
    program.chmod(0o755)


OTHER_CLIS = {
    "another version": (
        "#!/bin/sh\necho 'Bicep CLI version 0.30.3 (0123456789)'\n",
        r"is Bicep CLI version 0\.30\.3",
    ),
    "no version": ("#!/bin/sh\n", "is of an unknown version"),
    "a failure": ("#!/bin/sh\necho 'no ICU' >&2\nexit 134\n", r"does not start: exit status 134\. no ICU"),
    "another processor": ("\x7fELF", "does not start: "),
    "no snapshot": (
        f'#!/bin/sh\ntest "$1" = --version && echo "Bicep CLI version {bicep.VERSION} (0123456789)"\n',
        "has no command `snapshot`",
    ),
}


@pytest.mark.parametrize(("script", "reason"), OTHER_CLIS.values(), ids=OTHER_CLIS)
def test_an_unusable_cli_is_named_as_such_and_skips_the_tests(
    script: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, script)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(bicep.UnusableError, match=reason) as why:
        bicep.find()
    assert str(tmp_path / "bicep") in str(why.value)
    with pytest.raises(pytest.skip.Exception, match="Not tried: "):
        usable_cli()


def test_without_a_cli_the_needed_version_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(bicep.UnusableError, match=re.escape(bicep.VERSION)):
        bicep.find()
