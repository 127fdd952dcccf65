"""Bicep without its CLI: a real parser, and the names. What a template comes to is `bicep_deploy`'s business."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path, PurePosixPath

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

type Infra = Mapping[str, str]
"""The text of every file, by its path below infra/."""

_PARSER = Parser(Language(tree_sitter_bicep.language()))
_KINDS = {
    "parameter_declaration": "param",
    "type_declaration": "type",
    "variable_declaration": "var",
    "resource_declaration": "resource",
    "module_declaration": "module",
    "output_declaration": "output",
}
_FUNCTIONS = {
    "allowed",
    "concat",
    "description",
    "empty",
    "environment",
    "filter",
    "guid",
    "loadJsonContent",
    "loadTextContent",
    "maxLength",
    "maxValue",
    "minLength",
    "minValue",
    "replace",
    "resourceGroup",
    "sealed",
    "secure",
    "string",
    "subscriptionResourceId",
    "tenant",
    "toObject",
    "union",
    "uniqueString",
}
"""The functions that the templates use, so that a misspelt one is found."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """A param, type, var, resource, module or output; `value` is its expression, or the default of a param."""

    kind: str
    name: str
    type: str
    """Of a param or an output; of a resource with its version; of a module its path."""
    value: Node | None
    decorators: dict[str, str]
    """Their first arguments, as written."""
    existing: bool


def read(folder: Path) -> dict[str, str]:
    """All files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def templates(infra: Infra) -> dict[str, str]:
    """The Bicep files among all."""
    return {path: text for path, text in infra.items() if path.endswith(".bicep")}


def beside(path: str, target: str) -> str:
    """A path that a file names, as a path below infra/."""
    parts: list[str] = []
    for part in [*PurePosixPath(path).parts[:-1], *PurePosixPath(target).parts]:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


@lru_cache
def tree(text: str) -> Node:
    """The syntax tree."""
    return _PARSER.parse(text.encode()).root_node


def walk(node: Node) -> Iterator[Node]:
    """A node and all below, without comments."""
    yield node
    for child in children(node):
        yield from walk(child)


def children(node: Node) -> list[Node]:
    """What stands in a node, without punctuation and comments."""
    return [child for child in node.named_children if "comment" not in child.type]


def source(node: Node) -> str:
    """A node as it is written."""
    return (node.text or b"").decode()


def properties(node: Node) -> dict[str, Node]:
    """An object's properties; of a conditional one or a loop, those of its body."""
    whole = node
    while whole.type != "object":
        whole = children(whole)[-1]
    pairs = [children(each) for each in children(whole)]
    return {source(key).strip("'"): value for key, value in pairs}


def loop_names(variables: Node) -> list[str]:
    """What a loop calls `item`, or `(item, index)`; or a lambda."""
    return [source(each) for each in children(variables) or [variables]]


@lru_cache
def declarations(text: str) -> list[Declaration]:
    """All that a file declares, in order."""
    found: list[Declaration] = []
    decorators: dict[str, str] = {}
    for node in children(tree(text)):
        if node.type == "decorators":
            calls = [children(children(decorator)[0]) for decorator in children(node)]
            decorators = {source(name): source(arguments)[1:-1] for name, arguments in calls}
            continue
        if node.type in _KINDS:
            kind = _KINDS[node.type]
            name, *rest = children(node)
            type_ = "" if kind in ("type", "var") else source(rest.pop(0)).strip("'")
            existing = any(child.type == "existing" for child in node.children)
            value = rest[0] if rest else None
            found.append(Declaration(kind, source(name), type_, value, decorators, existing))
        decorators = {}
    return found


def of_kind(text: str, kind: str) -> dict[str, Declaration]:
    """What a file declares of one kind, by name."""
    return {each.name: each for each in declarations(text) if each.kind == kind}


def syntax(infra: Infra) -> list[str]:
    """What the parser stumbles over, and what it lets pass though Bicep does not: commas and things side by side."""
    found: list[str] = []
    for path, text in templates(infra).items():
        for node in walk(tree(text)):
            where = f"{path}:{node.start_point.row + 1}"
            if node.type == "ERROR" or node.is_missing:
                found.append(f"{where}: syntax error")
            if node.type in ("object", "array"):
                found += [f"{where}: {complaint}" for complaint in _separators(node)]
    return found


def _separators(node: Node) -> Iterator[str]:
    for one, other in pairwise(child for child in node.children if "comment" not in child.type):
        same_line = one.end_point.row == other.start_point.row
        if one.type == "," and not (same_line and other.is_named):
            yield "a comma at the end"
        if one.is_named and other.is_named and same_line:
            yield "two on one line without a comma"


def names(infra: Infra) -> list[str]:
    """Names that are undeclared, declared twice or unused, in a file and between a module and who uses it."""
    found: list[str] = []
    for path, text in templates(infra).items():
        declared = [each.name for each in declarations(text) if each.kind != "output"]
        needed = {
            each.name for each in declarations(text) if each.kind in ("param", "type", "var") or each.existing
        }
        used = {source(node) for node in walk(tree(text)) if node.type == "identifier" and _is_use(node)}
        called = {source(children(node)[0]) for node in walk(tree(text)) if node.type == "call_expression"}
        twice = {name for name in declared if declared.count(name) > 1}
        found += [f"{path}: {name} is declared twice" for name in twice]
        found += [f"{path}: {name} is not declared" for name in used - set(declared)]
        found += [f"{path}: {name} is not used" for name in needed - used]
        found += [f"{path}: {name}() is no function" for name in called - _FUNCTIONS]
        for module in of_kind(text, "module").values():
            found += [f"{path}: {module.name}: {complaint}" for complaint in _module(infra, path, module)]
    return found


def _is_use(node: Node) -> bool:
    parent = node.parent
    assert parent is not None
    named_here = parent.type in _KINDS or parent.type in ("object_property", "call_expression")
    if named_here and children(parent)[0] == node:
        return False
    at: Node | None = node
    while at is not None:
        if at.type in ("for_statement", "lambda_expression") and source(node) in loop_names(children(at)[0]):
            return False
        at = at.parent
    return True


def _module(infra: Infra, path: str, module: Declaration) -> Iterator[str]:
    target = beside(path, module.type)
    if target not in infra:
        yield f"there is no {target}"
        return
    assert module.value is not None
    wanted, given = of_kind(infra[target], "param"), properties(properties(module.value)["params"]).keys()
    required = {name for name, param in wanted.items() if param.value is None}
    asked = {
        source(node).split(".")[2]
        for node in walk(tree(infra[path]))
        if node.type == "member_expression" and source(node).startswith(f"{module.name}.outputs.")
    }
    yield from (f"{target} has no param {name}" for name in given - wanted.keys())
    yield from (f"{target} needs param {name}" for name in required - given)
    yield from (f"{target} has no output {name}" for name in asked - of_kind(infra[target], "output").keys())
