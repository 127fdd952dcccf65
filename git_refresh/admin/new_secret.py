"""stub"""

from git_refresh.admin.services import AdminServices
from git_refresh.settings.load import Settings


def issue(services: AdminServices, settings: Settings, host: str, client_id: str, name: str) -> None: ...
