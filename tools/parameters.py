"""The table of parameters in infra/README.md, from the descriptions in infra/main.bicep."""

import re
from collections.abc import Iterator

from tools.queries import ROOT

_PARAMETER = re.compile(
    r"(?P<decorators>^@description\('(?:[^'\\\n]|\\.)*'\)\n(?:[@#].*\n)*)"
    r"^param (?P<name>\w+) (?P<type>\{.*?\}|[\w\[\]]+)(?P<optional>\??)(?: = (?P<default>.+))?$",
    re.MULTILINE,
)


def table() -> Iterator[str]:
    """Yield one row for each parameter: name, default, description with the allowed values."""
    yield "| Parameter | Default | Meaning |"
    yield "|---|---|---|"
    text = (ROOT / "infra/main.bicep").read_text(encoding="utf-8")
    for found in _PARAMETER.finditer(text):
        meaning = [_description(found["decorators"]), *_allowed(found["decorators"])]
        yield f"|`{found['name']}`|{_default(found)}|{' '.join(meaning).replace('|', '\\|')}|"


def _default(parameter: re.Match[str]) -> str:
    default = parameter["default"]
    if default is None:
        return "unchanged" if parameter["optional"] else "required"
    if default == "''":
        return "none"
    return "computed" if " ? " in default else f"`{default.strip("'")}`"


def _description(decorators: str) -> str:
    (text,) = re.findall(r"^@description\('(.*)'\)$", decorators, re.MULTILINE)
    return re.sub(r"\\(.)", r"\1", text)


def _allowed(decorators: str) -> Iterator[str]:
    for values in re.findall(r"^@allowed\(\[(.*)\]\)$", decorators, re.MULTILINE):
        each = values.replace("'", "").split(", ")
        if not all(f"{value}:" in decorators for value in each):
            yield f"Allowed: {', '.join(each)}."
    least, most = (
        re.findall(rf"^@{limit}\((\d+)\)$", decorators, re.MULTILINE) for limit in ("minValue", "maxValue")
    )
    if least and most:
        yield f"Range: {least[0]} to {most[0]}."
