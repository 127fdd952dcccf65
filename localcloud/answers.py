"""Errors, and the caller's name, shared by the handlers of all services."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

# The caller's name, which a handler leaves with the request for the observer's record.
PRINCIPAL = web.RequestKey("PRINCIPAL", str)


class ApiError(Exception):
    """An error response: a status, an optional JSON body, and headers. Handlers raise it.

    With `marked` the body begins with a byte-order mark.
    """

    def __init__(
        self,
        status: int,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None = None,
        *,
        marked: bool = False,
    ) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body or {}
        self.headers = headers
        self.marked = marked

    def response(self) -> web.Response:
        if not self.body:
            return web.Response(status=self.status, headers=self.headers)
        text = "\ufeff" * self.marked + json.dumps(self.body)
        return web.json_response(text=text, status=self.status, headers=self.headers)
