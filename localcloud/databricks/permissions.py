"""The permissions on a workspace's directories and Git folders.

Facts: https://learn.microsoft.com/azure/databricks/security/auth/access-control/ and
https://docs.databricks.com/api/azure/workspace/permissions
"""

from collections.abc import Iterator, Mapping
from typing import Any

from localcloud.databricks.errors import error, invalid, not_found
from localcloud.databricks.sign_in import ServicePrincipal, SignIn

LEVELS = ("CAN_READ", "CAN_RUN", "CAN_EDIT", "CAN_MANAGE")
"""From lowest to highest."""

CAN_READ, CAN_MANAGE = LEVELS[0], LEVELS[-1]
SHARED = "/Shared"

type Grantee = tuple[str, str]
"""A principal: the field that names it, such as `service_principal_name`, and its name."""

type Grants = dict[Grantee, str]

ADMINS: Grantee = ("group_name", "admins")
USERS: Grantee = ("group_name", "users")
_NAMES = {
    "service_principal_name": "ServicePrincipalName",
    "user_name": "UserName",
    "group_name": "GroupName",
}


class Rights:
    """The grants by path; objects below inherit them."""

    def __init__(self, sign_in: SignIn) -> None:
        self._sign_in = sign_in
        self._granted: dict[str, Grants] = {"/": {ADMINS: CAN_MANAGE}, SHARED: {USERS: CAN_MANAGE}}

    def of(self, principal: ServicePrincipal, path: str, *, groups: bool = True) -> str | None:
        """Return a principal's highest level on a path, granted directly, by a group or above."""
        wanted = {grantee(principal)} | (_groups(principal) if groups else set())
        levels = [
            level
            for place in above(path)
            for who, level in self._granted.get(place, {}).items()
            if who in wanted
        ]
        return max(levels, key=LEVELS.index, default=None)

    def shown(self, path: str) -> Grants:
        """Return the grants on this path as reads show them."""
        return dict(self._sign_in.lag.shown(("grants", path), self._granted.get(path, {})))

    def own(self, path: str, principal: ServicePrincipal) -> None:
        """Let the creator manage a new object, if permissions are checked."""
        if self._sign_in.ungranted:
            self._granted.setdefault(path, {})[grantee(principal)] = CAN_MANAGE

    def add(self, path: str, grants: Grants) -> None:
        """Add grants and remove none."""
        kept = self._granted.get(path, {})
        higher = {who: max(level, kept.get(who, level), key=LEVELS.index) for who, level in grants.items()}
        self._write(path, kept | higher)

    def replace(self, path: str, grants: Grants) -> None:
        """Replace all grants of a path."""
        self._write(path, grants)

    def forget(self, path: str) -> None:
        self._granted.pop(path, None)

    def parsed(self, content: Mapping[str, Any]) -> Grants:
        """Parse the grants in a request, or raise the API's error."""
        grants: Grants = {}
        for entry in content.get("access_control_list") or []:
            named = [(kind, str(entry[kind])) for kind in _NAMES if entry.get(kind)]
            level = entry.get("permission_level")
            if len(named) != 1:
                raise invalid("Exactly one of user_name, group_name and service_principal_name must be set.")
            if level not in LEVELS:
                raise invalid(f"Permission level {level} is not supported.")
            self._check(*named[0])
            grants[named[0]] = level
        return grants

    def display_name(self, who: Grantee) -> str:
        return next((each.name for each in self._sign_in.principals if grantee(each) == who), who[1])

    def _check(self, kind: str, name: str) -> None:
        if (kind, name) in {ADMINS, USERS}:
            return
        if (kind, name) not in {grantee(each) for each in self._sign_in.principals if each.assigned}:
            raise not_found(f"Principal: {_NAMES[kind]}({name}) does not exist")

    def _write(self, path: str, grants: Grants) -> None:
        self._sign_in.lag.writing(("grants", path), dict(self._granted.get(path, {})))
        self._granted[path] = grants


def grantee(principal: ServicePrincipal) -> Grantee:
    return ("service_principal_name" if principal.account else "user_name", principal.client_id)


def above(path: str) -> Iterator[str]:
    """Yield the path and its parent directories, up to the root."""
    yield path
    while path != "/":
        path = path.rpartition("/")[0] or "/"
        yield path


def no_manage(principal: ServicePrincipal, path: str) -> Exception:
    return error(
        403,
        "PERMISSION_DENIED",
        f"{principal.client_id} does not have Manage permissions on {path}. Please contact the owner or an administrator for access.",
    )


def _groups(principal: ServicePrincipal) -> set[Grantee]:
    return {USERS, ADMINS} if principal.admin else {USERS}
