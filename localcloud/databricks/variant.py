"""Switches for behavior that differs between workspaces or that is not recorded.

Facts on Git folders with Git CLI access: https://github.com/databricks/cli/pull/6181 and
https://github.com/databricks/cli/pull/6303
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

from localcloud.answers import ApiError


@dataclass(slots=True)
class Variant:
    """The variants of a workspace. The first value of each is the default.

    `git_folders`: the kind of new Git folders; `mixed` alternates.
    `below_repos`: the kind below `/Repos`. Unrecorded: that the kind differs there.
    `directory_info`: when a response has `directory_info.is_git_folder`; a listing never takes
    `return_git_info`.
    `not_found`: the body of a 404 of the Workspace and Repos APIs.
    `detached_branch`: `branch` for a detached HEAD. Unrecorded.
    `head_after_update`: with `stale`, the first read after an update shows the previous commit. Unrecorded.
    `permissions_at`: the object type that has the permissions of a Git folder with Git CLI access.
    Unrecorded.
    `permissions_elsewhere`: the status for the other object type. Unrecorded.
    `diverged`: how a pull handles diverged branches. Unrecorded.
    `failed_create`: what a failed create leaves behind.
    `broken_folder`: the response of the Repos API for a folder without a repository. Unrecorded.
    `workspace_prefix`: whether a response keeps the request's prefix `/Workspace`.
    `duplicate_principal`: the status for an existing service principal. Unrecorded.
    """

    git_folders: Literal["git-cli", "legacy", "mixed"] = "git-cli"
    below_repos: Literal["alike", "legacy"] = "alike"
    directory_info: Literal["with-git-info", "always", "absent"] = "with-git-info"
    not_found: Literal["code", "message", "empty"] = "code"
    detached_branch: Literal["absent", "empty", "HEAD"] = "absent"
    head_after_update: Literal["new", "stale"] = "new"
    permissions_at: Literal["repos", "directories"] = "repos"
    permissions_elsewhere: Literal["404", "400"] = "404"
    diverged: Literal["refused", "merged", "kept"] = "refused"
    failed_create: Literal["broken", "nothing"] = "broken"
    broken_folder: Literal["404", "400"] = "404"
    workspace_prefix: Literal["dropped", "kept"] = "dropped"
    duplicate_principal: Literal["409", "400"] = "409"

    def set(self, text: str) -> None:
        """Set one variant by `name=value`.

        Raises:
            ValueError: the name or value is unknown; the message lists the known ones.
        """
        name, _, value = text.partition("=")
        known = values()
        if name not in known:
            raise ValueError(f"unknown variant {name!r}; use one of {', '.join(known)}.")
        if value not in known[name]:
            raise ValueError(f"{name} must be {' or '.join(known[name])}, not {value!r}.")
        setattr(self, name, value)

    def no_such(self, message: str) -> ApiError:
        """Return the 404 of a missing object."""
        body = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": message}
        return ApiError(404, {"code": body, "message": {"message": message}, "empty": None}[self.not_found])


def values() -> dict[str, tuple[Any, ...]]:
    """Return each variant's values, the default first."""
    return {name: get_args(hint) for name, hint in get_type_hints(Variant).items()}
