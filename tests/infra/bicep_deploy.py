"""What a template comes to with given parameters, as far as that can be known without Azure."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tree_sitter import Node

from tests.infra.bicep import (
    Declaration,
    Infra,
    beside,
    children,
    declarations,
    loop_names,
    of_kind,
    properties,
    source,
    syntax,
)


class Unknown(str):
    """A value that only a deployment knows, in the template's words."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource as it would be deployed."""

    file: str
    symbol: str
    type: str
    version: str
    scope: str | None
    """The type of the resource that it extends."""
    body: dict[str, Any]
    existing: bool


def deploy(infra: Infra, params: Mapping[str, Any]) -> list[Resource]:
    """Every resource that comes of main.bicep and its modules."""
    return list(_Template(infra, "main.bicep", params).resources())


def outputs(infra: Infra, params: Mapping[str, Any]) -> dict[str, Any]:
    """What main.bicep puts out."""
    template = _Template(infra, "main.bicep", params)
    return {name: template.output(name) for name in of_kind(infra["main.bicep"], "output")}


def parameters(text: str) -> dict[str, Any]:
    """What a .bicepparam file sets. The grammar knows templates alone, in which a var looks the same."""
    lines = [
        f"var {line.removeprefix('param ')}" if line.startswith("param ") else line
        for line in text.split("\n")
    ]
    infra = {"parameters.bicep": "\n".join(line for line in lines if not line.startswith("using "))}
    assert not syntax(infra)
    template = _Template(infra, "parameters.bicep", {})
    return {name: template.lookup(name) for name in template.declared}


@dataclass
class _Template:
    infra: Infra
    path: str
    params: Mapping[str, Any]
    known: dict[str, Any] = field(default_factory=dict)
    modules: dict[str, list["_Template"]] = field(default_factory=dict)

    @property
    def declared(self) -> dict[str, Declaration]:
        """What can be referred to."""
        return {each.name: each for each in declarations(self.infra[self.path]) if each.kind != "output"}

    def resources(self) -> Iterator[Resource]:
        for each in self.declared.values():
            if each.kind == "resource":
                yield from self.resource(each)
            elif each.kind == "module":
                for module in self.of(each):
                    yield from module.resources()

    def resource(self, each: Declaration) -> Iterator[Resource]:
        type_, _, version = each.type.partition("@")
        for body in self.bodies(each):
            extended = self.declared.get(str(body.get("scope")))
            scope = extended.type.partition("@")[0] if extended else None
            yield Resource(self.path, each.name, type_, version, scope, body, each.existing)

    def bodies(self, each: Declaration) -> list[dict[str, Any]]:
        """One; none if its condition is false; as many as its loop has."""
        assert each.value is not None
        value = self.evaluate(each.value)
        return [body for body in (value if isinstance(value, list) else [value]) if body is not None]

    def of(self, each: Declaration) -> list["_Template"]:
        """A module, as often as it is used."""
        if each.name not in self.modules:
            target = beside(self.path, each.type)
            self.modules[each.name] = [
                _Template(self.infra, target, body["params"]) for body in self.bodies(each)
            ]
        return self.modules[each.name]

    def output(self, name: str) -> Any:
        value = of_kind(self.infra[self.path], "output")[name].value
        assert value is not None
        return self.evaluate(value)

    def lookup(self, name: str) -> Any:
        if name not in self.known:
            each = self.declared.get(name)
            if name in self.params:
                self.known[name] = self.params[name]
            elif each is None or each.value is None or each.kind in ("resource", "module"):
                self.known[name] = Unknown(name)
            else:
                self.known[name] = self.evaluate(each.value)
        return self.known[name]

    def evaluate(self, node: Node) -> Any:
        """The value of an expression: the method of its kind says how."""
        method = getattr(self, f"_{node.type}", None)
        return method(*children(node)) if method else _VALUES[node.type](self, node)

    def _array(self, *items: Node) -> list[Any]:
        return [self.evaluate(item) for item in items]

    def _object(self, *pairs: Node) -> dict[str, Any]:
        return {
            (source(key) if key.type == "identifier" else self.evaluate(key)): self.evaluate(value)
            for key, value in map(children, pairs)
        }

    def _string(self, *parts: Node) -> str:
        values = [
            self.evaluate(children(part)[0])
            if part.type == "interpolation"
            else source(part).replace("\\'", "'")
            for part in parts
        ]
        whole = "".join(map(str, values))
        return Unknown(whole) if any(isinstance(value, Unknown) for value in values) else whole

    def _parenthesized_expression(self, inner: Node) -> Any:
        return self.evaluate(inner)

    def _ternary_expression(self, condition: Node, yes: Node, no: Node) -> Any:
        return self.evaluate(no if self.evaluate(condition) is False else yes)

    def _if_statement(self, condition: Node, body: Node) -> Any:
        return None if self.evaluate(condition) is False else self.evaluate(body)

    def _lambda_expression(self, name: Node, body: Node) -> Callable[[Any], Any]:
        def call(value: Any) -> Any:
            return _Template(self.infra, self.path, {**self.params, source(name): value}).evaluate(body)

        return call

    def _subscript_expression(self, whole: Node, index: Node) -> Any:
        return _part(self.evaluate(whole), self.evaluate(index))

    def _member_expression(self, whole: Node, part: Node) -> Any:
        resource = self.declared.get(source(whole))
        if resource is not None and resource.kind == "resource" and source(part) == "name":
            assert resource.value is not None
            return self.evaluate(properties(resource.value)["name"])
        module = self.declared.get(source(whole).removesuffix(".outputs"))
        if module is not None and module.kind == "module":
            (one,) = self.of(module)
            return one.output(source(part))
        return _part(self.evaluate(whole), source(part))

    def _call_expression(self, function: Node, arguments: Node) -> Any:
        values = [self.evaluate(each) for each in children(arguments)]
        if source(function) == "loadTextContent":
            return self.infra[beside(self.path, values[0])]
        if source(function) == "loadJsonContent":
            return json.loads(self.infra[beside(self.path, values[0])])
        return _call(source(function), values)

    def _for_statement(self, variables: Node, items: Node, body: Node) -> list[Any]:
        name, *index = loop_names(variables)
        found = []
        for number, item in enumerate(self.evaluate(items)):
            inside = {**self.params, name: item, **dict.fromkeys(index, number)}
            found.append(_Template(self.infra, self.path, inside, modules=self.modules).evaluate(body))
        return found

    def operation(self, node: Node) -> Any:
        values = [self.evaluate(child) for child in children(node)]
        if any(isinstance(value, Unknown) for value in values):
            return Unknown(source(node))
        sign = next(child.type for child in node.children if not child.is_named)
        return _OPERATIONS[sign](*values)


_VALUES: dict[str, Callable[..., Any]] = {
    "identifier": lambda template, node: template.lookup(source(node)),
    "number": lambda _, node: json.loads(source(node)),
    "boolean": lambda _, node: json.loads(source(node)),
    "null": lambda *_: None,
    "unary_expression": _Template.operation,
    "binary_expression": _Template.operation,
}
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "!": lambda value: not value,
    "&&": lambda one, other: one and other,
    "||": lambda one, other: one or other,
    "==": lambda one, other: one == other,
    "+": lambda one, other: one + other,
    "*": lambda one, other: one * other,
}


def _part(whole: Any, part: Any) -> Any:
    return Unknown(f"{whole}.{part}") if isinstance(whole, Unknown) else whole[part]


def _call(function: str, values: list[Any]) -> Any:
    if not any(isinstance(value, Unknown) for value in values):
        match function, values:
            case "string", [value]:
                return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
            case "empty", [value]:
                return not value
            case "concat", [*some]:
                return [item for one in some for item in one]
            case "filter", [items, wanted]:
                return [item for item in items if wanted(item)]
            case "toObject", [items, key, value]:
                return {key(item): value(item) for item in items}
            case "union", [one, other]:
                return {**one, **other}
            case "replace", [whole, old, new]:
                return whole.replace(old, new)
    return Unknown(f"{function}({', '.join(map(str, values))})")
