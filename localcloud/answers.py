"""What the handlers of all services share."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

# The caller's name, which a handler leaves with the request for the record.
PRINCIPAL = web.RequestKey("PRINCIPAL", str)


class ApiError(Exception):
    """What a service answers instead of a result: a status, a JSON body or none, and headers. Raise it anywhere.

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
