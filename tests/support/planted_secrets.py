"""Search for secrets, in any form, in the app's output."""

import base64
import itertools
import logging
import traceback

PIECE = 12


class Everything(logging.Handler):
    """Every record of every logger, with arguments, exception and stack."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record) + repr(record.args) + repr(record.exc_info))


def pieces(secret: str) -> set[str]:
    """Return every piece of `PIECE` characters of a secret and its base64 forms, without a JWT's header."""
    secret = secret.split(".", 1)[1] if secret.startswith("eyJ") else secret
    forms = [secret]
    for shift, padding in itertools.product(range(3), [b"", b"x:"]):
        encoded = base64.b64encode(b"\0" * shift + padding + secret.encode()).decode().rstrip("=")
        forms.append(encoded[4:-4])
    return {form[start : start + PIECE] for form in forms for start in range(len(form) - PIECE + 1)}


def assert_clean(text: str, secrets: list[str]) -> None:
    windows = {text[start : start + PIECE] for start in range(len(text) - PIECE + 1)}
    for secret in secrets:
        assert not (found := windows & pieces(secret)), f"{sorted(found)[:3]} of a secret came out"


def everything_raised(error: BaseException | None) -> str:
    """Return an exception with its causes and contexts, even suppressed ones, as repr and notes."""
    text, seen = "", set()
    queue = [error]
    while queue:
        item = queue.pop()
        if item is None or id(item) in seen:
            continue
        seen.add(id(item))
        text += (
            "".join(traceback.format_exception(item))
            + repr(item)
            + str(item)
            + repr(vars(item))
            + repr(item.args)
        )
        queue += [item.__cause__, item.__context__]
    return text


def lower_every_level() -> None:
    """Lower the level of every logger, after the app has raised some."""
    for name in list(logging.Logger.manager.loggerDict):
        logging.getLogger(name).setLevel(logging.DEBUG)
