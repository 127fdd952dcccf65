"""What the handlers of all services share."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

# The caller's name, which a handler leaves with the request for the record.
PRINCIPAL = web.RequestKey("PRINCIPAL", str)


class ApiError(Exception):
    """What a service answers instead of a result: a status, a JSON body and headers. Raise it anywhere."""

    def __init__(
        self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.headers = headers

    def response(self) -> web.Response:
        return web.json_response(self.body, status=self.status, headers=self.headers)
