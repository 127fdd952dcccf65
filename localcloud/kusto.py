"""A part of the Kusto query language, as used by the queries on runs and slices.

Unknown syntax is refused. Facts: https://learn.microsoft.com/kusto/query.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

type Value = Any
type Row = dict[str, Value]
type Rows = list[Row]
type Node = tuple[Any, ...]
"""A parsed expression: `(kind, ...)`."""

_TOKEN = re.compile(
    r"""\s+|//[^\n]*|(?P<span>\d+(?:ms|[smhd])\b)|(?P<number>\d+(?:\.\d+)?)|(?P<text>"[^"]*"|'[^']*')
    |(?P<name>mv-expand|[A-Za-z_]\w*)|(?P<sign>==|=~|!=|<=|>=|[-+*/<>=()\[\].,|;])""",
    re.VERBOSE,
)
_BEFORE, _SUMS_SO_FAR = "prev()", "row_cumsum()"
"""Row keys for the values that these functions need; no column has such a name."""
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_BINDS = {"or": 1, "and": 2, "in": 3, "startswith": 3, "contains": 3, "==": 3, "=~": 3, "!=": 3} | {
    **dict.fromkeys(("<", ">", "<=", ">="), 4),
    **dict.fromkeys(("+", "-"), 5),
    **dict.fromkeys(("*", "/"), 6),
}
_SIGNS: dict[str, Callable[[Value, Value], Value]] = {
    "==": lambda one, other: one == other,
    "=~": lambda one, other: one.lower() == other.lower(),
    "!=": lambda one, other: one != other,
    "<": lambda one, other: one < other,
    ">": lambda one, other: one > other,
    "<=": lambda one, other: one <= other,
    ">=": lambda one, other: one >= other,
    "+": lambda one, other: one + other,
    "-": lambda one, other: one - other,
    "*": lambda one, other: one * other,
    "/": lambda one, other: one // other if isinstance(one, int) and isinstance(other, int) else one / other,
    "startswith": lambda one, other: one.lower().startswith(other.lower()),
    "contains": lambda one, other: other.lower() in one.lower(),
}


class UnknownTableError(LookupError):
    """A query names an unknown table."""


def run(text: str, tables: dict[str, Rows], now: datetime) -> Rows:
    """Return the result of a query.

    Raises:
        UnknownTableError: the query reads an unknown table.
        NotImplementedError: the query uses unsupported syntax.
    """
    return _Query(text, tables, now).rows()


@dataclass
class _Query:
    text: str
    tables: dict[str, Rows]
    now: datetime
    tokens: list[str] = field(default_factory=list)
    at: int = 0
    lets: dict[str, Value] = field(default_factory=dict)
    columns: set[str] = field(default_factory=set)
    """All columns that the query names; they are empty in rows without a match in a join."""

    def rows(self) -> Rows:
        end = 0
        while end < len(self.text):
            found = _TOKEN.match(self.text, end)
            if found is None:
                raise NotImplementedError(self.text[end : end + 20])
            end = found.end()
            self.tokens += [found[0]] if found.lastgroup else []
        while self.takes("let"):
            name = self.next()
            self.expect("=")
            self.lets[name] = (
                self.value(self.expression(), {}) if self.peek() == "toscalar" else self.pipeline()
            )
            self.expect(";")
        answer = self.pipeline()
        if self.at != len(self.tokens):
            raise NotImplementedError(self.peek())
        return answer

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def next(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1]

    def takes(self, token: str) -> bool:
        found = self.peek() == token
        self.at += found
        return found

    def expect(self, token: str) -> None:
        if not self.takes(token):
            raise NotImplementedError(f"{self.peek()!r}, not {token!r}")

    # ---- Rows ----

    def pipeline(self) -> Rows:
        rows = self.united() if self.takes("union") else self.rows_named()
        while self.takes("|"):
            step = self.next()
            method = getattr(self, f"_{step.replace('-', '_')}", None)
            if method is None:
                raise NotImplementedError(step)
            rows = method(rows)
        return rows

    def rows_named(self) -> Rows:
        source = self.next()
        if source not in self.lets and source not in self.tables:
            raise UnknownTableError(source)
        return self.lets[source] if source in self.lets else self.tables[source]

    def united(self) -> Rows:
        rows = list(self.rows_named())
        while self.takes(","):
            rows += self.rows_named()
        return rows

    def _where(self, rows: Rows) -> Rows:
        wanted = self.expression()
        return [row for row in rows if self.value(wanted, row) is True]

    def _extend(self, rows: Rows) -> Rows:
        added = list(self.named())
        found: Rows = []
        sums: dict[str, int] = {}
        for at, row in enumerate(rows):
            own = {**row, _BEFORE: rows[at - 1] if at else {}, _SUMS_SO_FAR: sums}
            found.append({**row, **{name: self.value(node, own) for name, node in added}})
        return found

    def _project(self, rows: Rows) -> Rows:
        kept = list(self.named())
        return [{name: self.value(node, row) for name, node in kept} for row in rows]

    def _summarize(self, rows: Rows) -> Rows:
        sums = list(self.named())
        keys = list(self.named()) if self.takes("by") else []

        def group(row: Row) -> str:
            return repr([self.value(node, row) for _, node in keys])

        groups = [list(each) for _, each in groupby(sorted(rows, key=group), group)]
        return [self._summed(sums, keys, each) for each in (groups if keys else [rows])]

    def _summed(self, sums: list[tuple[str, Node]], keys: list[tuple[str, Node]], group: Rows) -> Row:
        answer = {name: self.value(node, group[0]) for name, node in keys}
        for name, node in sums:
            if node[:2] == ("call", "arg_max"):
                by, *carried = node[2]
                best = max(group, key=lambda row, by=by: self.value(by, row))  # type: ignore[misc]
                answer |= {each[1]: self.value(each, best) for each in (by, *carried)}
            else:
                answer[name] = self.value(node, {}, group)
        return answer

    def _distinct(self, rows: Rows) -> Rows:
        kept = [name for name, _ in self.named()]
        different = {repr([row.get(name) for name in kept]): row for row in reversed(rows)}
        return [{name: row.get(name) for name in kept} for row in reversed(different.values())]

    def _count(self, rows: Rows) -> Rows:
        return [{"Count": len(rows)}]

    def _top(self, rows: Rows) -> Rows:
        most = int(self.next())
        self.expect("by")
        return self._order_by(rows)[:most]

    def _order(self, rows: Rows) -> Rows:
        self.expect("by")
        return self._order_by(rows)

    def _order_by(self, rows: Rows) -> Rows:
        keys: list[tuple[Node, bool]] = []
        while not keys or self.takes(","):
            keys.append((self.expression(), self.next() == "desc"))
        for by, descending in reversed(keys):
            rows = sorted(rows, key=lambda row, by=by: self.value(by, row), reverse=descending)  # type: ignore[misc]
        return rows

    def _mv_expand(self, rows: Rows) -> Rows:
        ((name, node),) = self.named()
        if self.takes("to"):
            self.at += len(("typeof", "(", "type", ")"))
        return [{**row, name: each} for row in rows for each in self.value(node, row) or [None]]

    def _join(self, rows: Rows) -> Rows:
        for token in ("kind", "=", "leftouter", "("):
            self.expect(token)
        right = self.pipeline()
        self.expect(")")
        self.expect("on")
        key = self.next()
        none = dict.fromkeys((name for row in right for name in row), None)
        return [
            {**other, **row}
            for row in rows
            for other in [each for each in right if each[key] == row[key]] or [none]
        ]

    # ---- Expressions ----

    def named(self) -> Iterator[tuple[str, Node]]:
        """Yield each `name = expression`; an unnamed expression has its column's name."""
        while True:
            name = ""
            if self.tokens[self.at + 1 : self.at + 2] == ["="]:
                name = self.next()
                self.expect("=")
            node = self.expression()
            self.columns.add(name or str(node[1]))
            yield name or str(node[1]), node
            if not self.takes(","):
                return

    def expression(self, least: int = 0) -> Node:
        left = self.operand()
        while _BINDS.get(self.peek(), 0) > least:
            sign = self.next()
            if sign == "in":
                self.expect("(")
                left = ("in", left, self.among())
            else:
                left = ("sign", sign, left, self.expression(_BINDS[sign]))
        return left

    def among(self) -> list[Node]:
        """Return the operands of `in`: listed values, or the only column of a subquery."""
        if self.peek() in self.lets:
            found = self.lets[self.next()]
        elif self.takes("("):
            found = self.pipeline()
            self.expect(")")
        else:
            return self.arguments()
        self.expect(")")
        return [("is", value) for row in found for value in row.values()]

    def operand(self) -> Node:
        word = self.next()
        if word == "(":
            node = self.expression()
            self.expect(")")
        elif word[0] in "\"'":
            node = ("is", word[1:-1])
        elif span := re.fullmatch(r"(\d+)(ms|[smhd])", word):
            node = ("is", timedelta(seconds=int(span[1]) * _UNITS[span[2]]))
        elif word in {"true", "false"}:
            node = ("is", word == "true")
        elif word[0].isdigit():
            node = ("is", float(word) if "." in word else int(word))
        elif word == "toscalar":
            self.expect("(")
            rows = self.pipeline()
            self.expect(")")
            node = ("is", next(iter(rows[0].values())) if rows else None)
        elif self.takes("("):
            node = ("call", word, self.arguments())
        else:
            node = ("column", word)
        while self.peek() in (".", "["):
            if self.next() == ".":
                node = ("part", node, ("is", self.next()))
            else:
                node = ("part", node, self.expression())
                self.expect("]")
        return node

    def arguments(self) -> list[Node]:
        found: list[Node] = []
        while not self.takes(")"):
            found.append(self.expression())
            self.takes(",")
        return found

    def value(self, node: Node, row: Row, group: Rows | None = None) -> Value:
        match node:
            case "is", value:
                return value
            case "column", name:
                return row.get(name) if name in row or name in self.columns else self.lets[name]
            case "part", whole, key:
                there, place = self.value(whole, row, group), self.value(key, row, group)
                if isinstance(there, list):
                    return there[place]
                return there.get(place) if isinstance(there, dict) else None
            case "in", one, some:
                return self.value(one, row, group) in [self.value(each, row, group) for each in some]
            case "sign", ("and" | "or") as sign, one, other:
                sides = (self.value(each, row, group) is True for each in (one, other))
                return all(sides) if sign == "and" else any(sides)
            case "sign", sign, one, other:
                left, right = self.value(one, row, group), self.value(other, row, group)
                return None if left is None or right is None else _SIGNS[sign](left, right)
            case "call", name, arguments if group is not None and name in _SUMS:
                columns = [[self.value(each, row) for row in group] for each in arguments]
                return _SUMS[name](group, *columns)
            case "call", name, arguments:
                return self.call(name, arguments, row, group)
        raise NotImplementedError(node)

    def call(self, name: str, arguments: Sequence[Node], row: Row, group: Rows | None) -> Value:
        if name == "prev":
            return self.value(arguments[0], row[_BEFORE]) if row[_BEFORE] else None
        values = [self.value(each, row, group) for each in arguments]
        if name == "row_cumsum":
            added, restarts = values
            sums, key = row[_SUMS_SO_FAR], repr(arguments)
            sums[key] = added + (0 if restarts is True else sums.get(key, 0))
            return sums[key]
        if name == "now":
            return self.now
        if name == "ago":
            return self.now - values[0]
        if name not in _CALLS:
            raise NotImplementedError(name)
        return _CALLS[name](*values)


def _present(values: list[Value]) -> list[Value]:
    return [value for value in values if value is not None]


def _chosen(values: list[Value], wanted: list[Value]) -> list[Value]:
    return _present([value for value, is_wanted in zip(values, wanted, strict=True) if is_wanted is True])


def _text(value: Value) -> str:
    return "" if value is None else value if isinstance(value, str) else str(value)


def _moment(value: Value) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


_SUMS: dict[str, Callable[..., Value]] = {
    "count": len,
    "countif": lambda _, wanted: wanted.count(True),
    "sum": lambda _, values: sum(_present(values)),
    "min": lambda _, values: min(_present(values), default=None),
    "max": lambda _, values: max(_present(values), default=None),
    "maxif": lambda _, values, wanted: max(_chosen(values, wanted), default=None),
    "minif": lambda _, values, wanted: min(_chosen(values, wanted), default=None),
    "dcount": lambda _, values: len(set(values)),
    "take_anyif": lambda _, values, wanted: next(iter(_chosen(values, wanted)), None),
    "make_set_if": lambda _, values, wanted: sorted(set(_chosen(values, wanted))),
    "make_list_if": lambda _, values, wanted, most=(None,): _chosen(values, wanted)[: most[0]],
}
_CALLS: dict[str, Callable[..., Value]] = {
    "parse_json": json.loads,
    "tostring": _text,
    "toint": lambda value: None if value is None else int(value),
    "tolong": lambda value: None if value is None else int(value),
    "todouble": lambda value: None if value is None else float(value),
    "todatetime": _moment,
    "coalesce": lambda *values: next((each for each in values if each not in (None, "")), None),
    "iff": lambda condition, yes, no: yes if condition is True else no,
    "not": lambda value: None if value is None else not value,
    "isnull": lambda value: value is None,
    "isnotnull": lambda value: value is not None,
    "isnotempty": lambda value: value not in (None, ""),
    "array_length": lambda value: None if value is None else len(value),
    "range": lambda first, last: None if last is None else list(range(first, last + 1)),
    "substring": lambda value, start, length: (value or "")[start : start + length],
    "round": lambda value, digits: None if value is None else round(value, digits),
    "strcat": lambda *values: "".join(map(_text, values)),
    "pack_array": lambda *values: list(values),
}
