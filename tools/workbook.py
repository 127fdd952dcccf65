"""The Azure Monitor workbook: each query of infra/queries/workbook under its title and description.

Schema: https://github.com/microsoft/Application-Insights-Workbooks/blob/master/schema/workbook.json.
"""

import re
from collections.abc import Sequence
from typing import Any

from tools.queries import Query

_COMPONENT = "microsoft.insights/components"
_TIME_RANGE = "TimeRange"
_HOUR_MS = 3_600_000
_MAX_ROWS = 1000
"""Rows of a table. The default of 250 is less than the workspaces of a large fleet."""

_Item = dict[str, Any]


def workbook(queries: Sequence[Query]) -> dict[str, Any]:
    """Return the workbook of these queries, in the form of a gallery template."""
    items = [_time_range()]
    for number, query in enumerate(queries, start=1):
        items += [_heading(number, query), _result(number, query)]
    return {"version": "Notebook/1.0", "items": items, "isLocked": False}


def _time_range() -> _Item:
    parameter = {
        "id": "6f2f4a7e-5a0e-4c0a-9d51-7d3c3e0c2b11",
        "version": "KqlParameterItem/1.0",
        "name": _TIME_RANGE,
        "label": "Time range",
        "type": 4,
        "isRequired": True,
        "value": {"durationMs": 24 * _HOUR_MS},
        "typeSettings": {
            "selectableValues": [{"durationMs": hours * _HOUR_MS} for hours in (1, 4, 24, 72, 168, 720)],
            "allowCustom": True,
        },
    }
    content = {
        "version": "KqlParameterItem/1.0",
        "parameters": [parameter],
        "style": "pills",
        "queryType": 0,
        "resourceType": _COMPONENT,
    }
    return {"type": 9, "content": content, "name": "time range"}


def _heading(number: int, query: Query) -> _Item:
    return {
        "type": 1,
        "content": {"json": f"### {query.title}\n\n{query.description}"},
        "name": f"{number} heading",
    }


def _result(number: int, query: Query) -> _Item:
    content = {
        "version": "KqlItem/1.0",
        "query": query.text,
        "size": 0,
        "noDataMessage": "Nothing in this time range.",
        "timeContextFromParameter": _TIME_RANGE,
        "queryType": 0,
        "resourceType": _COMPONENT,
        **_shown(query),
    }
    return {"type": 3, "content": content, "name": f"{number} {query.title}"}


def _shown(query: Query) -> _Item:
    """Return a chart, tiles for pairs of a word and a number, or a table."""
    if query.text.endswith("| render timechart"):
        return {"visualization": "timechart"}
    if re.search(r"\| project title = .*, number = .*$", query.text):
        tile = {
            "titleContent": {"columnMatch": "title", "formatter": 1},
            "leftContent": {"columnMatch": "number", "formatter": 12, "formatOptions": {"palette": "none"}},
            "showBorder": True,
        }
        return {"visualization": "tiles", "size": 4, "tileSettings": tile}
    return {"visualization": "table", "gridSettings": {"filter": True, "rowLimit": _MAX_ROWS}}
