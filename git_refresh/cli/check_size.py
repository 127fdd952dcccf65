"""How much of an app setting's room is taken. The platform hands settings to the app's process, and a process takes only so much."""

import json
from collections.abc import Iterator, Mapping

from git_refresh.cli.checks import Check, failed, warning
from git_refresh.failures.diagnosis import DiagnosisContext, finding
from git_refresh.settings.names import SETTINGS

MOST_BYTES = 32 * 4096 - 1
"""Of `NAME=value`: Linux refuses to start a process with a longer string (`MAX_ARG_STRLEN`, which counts the zero byte at its end, in
`include/uapi/linux/binfmts.h`: https://man7.org/linux/man-pages/man2/execve.2.html)."""
MANY_BYTES = 120_000
"""Of a value: from here on it is time to write it shorter."""


def check_sizes(environ: Mapping[str, str]) -> Iterator[Check]:
    """A line for each of our settings that is too long, or nearly.

    Args:
        environ: the settings by name. JSON is measured without the white space of a file that is meant to be read, as `jq` and Bicep
            set it.
    """
    for name in SETTINGS:
        size = _bytes(_compact(environ.get(name, "")))
        most = MOST_BYTES - _bytes(f"{name}=")
        if size >= MANY_BYTES:
            told = finding(
                "long_setting", DiagnosisContext(), setting=name, size=f"{size:,}", most=f"{most:,}"
            )
            yield (failed if size > most else warning)("settings", name, told)


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def _compact(value: str) -> str:
    try:
        content = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))
