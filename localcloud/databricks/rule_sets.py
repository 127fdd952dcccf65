"""The account's rule sets: roles on service principals, read in the account or through a workspace.

Facts: https://docs.databricks.com/api/azure/account/accountaccesscontrol
"""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from localcloud.databricks.account import Account, RuleSet
from localcloud.databricks.errors import error, fields, invalid, not_found, required


def get(account: Account, request: web.Request) -> web.Response:
    """Return the requested rule set. An etag asks for nothing older, and older versions are not kept."""
    if "etag" not in request.query:
        raise invalid("Missing required field: etag")
    name = request.query.get("name", "")
    return _shown(name, _find(account, name))


async def put(account: Account, request: web.Request) -> web.Response:
    """Replace all rules of a set, unless its etag is outdated. Unrecorded: the texts of refusals."""
    content = await fields(request)
    name, wanted = required(content, "name"), content.get("rule_set")
    kept = _find(account, name)
    given: Mapping[str, Any] = wanted if isinstance(wanted, dict) else {}
    if required(dict(given), "etag") != kept.etag:
        raise error(409, "RESOURCE_CONFLICT", f"The etag of {name} is not the latest: read it again.")
    rules = [dict(rule) for rule in given.get("grant_rules") or []]
    account.rule_sets[name] = RuleSet(rules, kept.version + 1)
    return _shown(name, account.rule_sets[name])


def _find(account: Account, name: str) -> RuleSet:
    match name.split("/"):
        case ["accounts", account.id, "servicePrincipals", client_id, "ruleSets", "default"]:
            if account.find(client_id):
                return account.rule_sets.get(name, RuleSet())
    raise not_found(f"Rule set {name} does not exist.")


def _shown(name: str, kept: RuleSet) -> web.Response:
    return web.json_response({"name": name, "etag": kept.etag, "grant_rules": kept.grant_rules})
