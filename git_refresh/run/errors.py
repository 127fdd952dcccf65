"""What a function raises in the end, since a raising function is what the portal and alerts see."""

from git_refresh.settings.load import SettingsError

LONGEST_MESSAGE = 4_000
"""Characters of what is raised."""


class RunFailedError(Exception):
    """Something in the run failed. Raised last; its text is one line for people, without secrets."""


def nothing_run(error: SettingsError) -> str:
    """What is raised when the settings allow no run."""
    problems = "; ".join(map(str, error.problems))
    return f"Nothing was run, because the app settings are wrong. {problems}"
