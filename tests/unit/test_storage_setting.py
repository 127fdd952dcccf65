"""The queue's storage account in the settings: problems are reported without parts of a key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from git_refresh.model.values import Problem
from git_refresh.settings.functions_host import Storage, read_storage
from tests.support.examples import as_often_as

GUID = "5a1e0000-0000-4000-8000-000000000002"
KEY = "c2VjcmV0LWtleS1vZi10aGUtYWNjb3VudA=="
STRING = (
    f"DefaultEndpointsProtocol=https;AccountName=stcontoso;AccountKey={KEY};EndpointSuffix=core.windows.net"
)
SAS = f"BlobEndpoint=https://stcontoso.blob.core.windows.net/;QueueEndpoint=https://stcontoso.queue.core.windows.net/;SharedAccessSignature=sv=2026&sig={KEY}"
LOCAL = f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={KEY};BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
GOOD = {
    "an account": (
        {"AzureWebJobsStorage__accountName": "stcontoso"},
        Storage(blobs="https://stcontoso.blob.core.windows.net"),
    ),
    "an account, for a user-assigned identity": (
        {"AzureWebJobsStorage__accountName": "stcontoso", "AzureWebJobsStorage__clientId": GUID.upper()},
        Storage(blobs="https://stcontoso.blob.core.windows.net", client_id=GUID),
    ),
    "in any letter case, with colons": (
        {"azurewebjobsstorage:ACCOUNTNAME": "stcontoso"},
        Storage(blobs="https://stcontoso.blob.core.windows.net"),
    ),
    "two addresses": (
        {
            "AzureWebJobsStorage__queueServiceUri": "https://stcontoso.queue.core.windows.net",
            "AzureWebJobsStorage__blobServiceUri": "https://stcontoso.blob.core.windows.net/",
        },
        Storage(blobs="https://stcontoso.blob.core.windows.net"),
    ),
    "two addresses that an administrator vouches for": (
        {
            "AzureWebJobsStorage__queueServiceUri": "https://queue.contoso.com",
            "AzureWebJobsStorage__blobServiceUri": "https://blob.contoso.com",
            "TRUSTED_HOSTS": ".contoso.com",
        },
        Storage(blobs="https://blob.contoso.com"),
    ),
    "a connection string": ({"AzureWebJobsStorage": STRING}, Storage(connection_string=STRING)),
    "with a signature": ({"AzureWebJobsStorage": SAS}, Storage(connection_string=SAS)),
    "the emulator": (
        {"AzureWebJobsStorage": "UseDevelopmentStorage=true"},
        Storage(connection_string="UseDevelopmentStorage=true"),
    ),
    "the emulator written out": ({"AzureWebJobsStorage": LOCAL}, Storage(connection_string=LOCAL)),
}


@pytest.mark.parametrize(("environ", "storage"), GOOD.values(), ids=GOOD)
def test_each_form_of_the_connection_is_read(environ: dict[str, str], storage: Storage) -> None:
    assert read_storage(environ) == storage
    assert KEY not in repr(storage)


def test_what_opens_the_account_is_known_as_a_secret() -> None:
    assert Storage(connection_string=STRING).secrets() == [KEY]
    assert Storage(connection_string=SAS).secrets() == [f"sv=2026&sig={KEY}"]
    assert Storage(blobs="https://x.blob.core.windows.net").secrets() == []


NO_STRING = (
    "AzureWebJobsStorage: is not a connection string of a storage account "
    "(DefaultEndpointsProtocol=https;AccountName=…;AccountKey=…); copy it anew, or better remove it, and set "
    "AzureWebJobsStorage__accountName and AzureWebJobsStorage__credential"
)
MISSING = (
    'AzureWebJobsStorage: is missing, and FAN_OUT "queue" needs a storage account for its queue; set AzureWebJobsStorage__accountName '
    "to its name, and AzureWebJobsStorage__credential to managedidentity (docs/fan-out.md)"
)
ELSEWHERE = (
    "AzureWebJobsStorage: is a connection string whose blobs are not at https://ACCOUNT.blob.core.windows.net, below storage.azure.net or "
    "at a host listed in TRUSTED_HOSTS, so nothing is sent to them; copy it anew"
)
WRONG = {
    "nothing": ({}, MISSING),
    "nothing but spaces": ({"AzureWebJobsStorage": " "}, MISSING),
    "an identity for nothing": ({"AzureWebJobsStorage__credential": "managedidentity"}, MISSING),
    "an address as the name": (
        {"AzureWebJobsStorage__accountName": "https://stcontoso.queue.core.windows.net"},
        (
            'AzureWebJobsStorage__accountName: "https://stcontoso.queue.core.windows.net" must be the name of a storage account; write '
            '"stcontoso"'
        ),
    ),
    "no name": (
        {"AzureWebJobsStorage__accountName": "St-Contoso"},
        'AzureWebJobsStorage__accountName: "St-Contoso" must be the name of a storage account; it has 3 to 24 small letters and digits',
    ),
    "no id": (
        {"AzureWebJobsStorage__accountName": "stcontoso", "AzureWebJobsStorage__clientId": "my-identity"},
        'AzureWebJobsStorage__clientId: "my-identity" must be the client id of a user-assigned managed identity',
    ),
    "one address of two": (
        {"AzureWebJobsStorage__queueServiceUri": "https://stcontoso.queue.core.windows.net"},
        "AzureWebJobsStorage__blobServiceUri: is missing; write https://ACCOUNT.blob.core.windows.net",
    ),
    "an address without TLS": (
        {
            "AzureWebJobsStorage__queueServiceUri": "https://stcontoso.queue.core.windows.net",
            "AzureWebJobsStorage__blobServiceUri": "http://stcontoso.blob.core.windows.net",
        },
        (
            'AzureWebJobsStorage__blobServiceUri: "http://stcontoso.blob.core.windows.net" must start with https://; write '
            "https://stcontoso.blob.core.windows.net"
        ),
    ),
    "an address elsewhere": (
        {
            "AzureWebJobsStorage__queueServiceUri": "https://stcontoso.queue.core.windows.net",
            "AzureWebJobsStorage__blobServiceUri": "https://blobs.example.com",
        },
        (
            'AzureWebJobsStorage__blobServiceUri: "https://blobs.example.com" is not on a trusted host, so nothing is sent to it: expected '
            "*.core.windows.net or *.storage.azure.net, or a host listed in TRUSTED_HOSTS"
        ),
    ),
    "half a string": ({"AzureWebJobsStorage": STRING[: STRING.index("AccountKey") + 11]}, NO_STRING),
    "a key alone": ({"AzureWebJobsStorage": KEY}, NO_STRING),
    "a key that is none": (
        {"AzureWebJobsStorage": STRING.replace("AccountKey=c", "AccountKey=!")},
        NO_STRING,
    ),
    "a space before a name": ({"AzureWebJobsStorage": STRING.replace(";AccountN", "; AccountN")}, NO_STRING),
    "a string in clear": (
        {"AzureWebJobsStorage": STRING.replace("=https", "=http")},
        ELSEWHERE,
    ),
    "blobs in clear": (
        {"AzureWebJobsStorage": f"{STRING};BlobEndpoint=http://stcontoso.blob.core.windows.net"},
        ELSEWHERE,
    ),
    "blobs elsewhere": (
        {"AzureWebJobsStorage": f"{STRING};BlobEndpoint=https://evil.example.com"},
        ELSEWHERE,
    ),
    "an account elsewhere": (
        {"AzureWebJobsStorage": STRING.replace("EndpointSuffix=core", "EndpointSuffix=evil")},
        ELSEWHERE,
    ),
    "a string with a line break": ({"AzureWebJobsStorage": STRING.replace(";", "\n;")}, NO_STRING),
}


@pytest.mark.parametrize(("environ", "said"), WRONG.values(), ids=WRONG)
def test_an_unusable_connection_is_reported_with_a_correction(environ: dict[str, str], said: str) -> None:
    found = read_storage(environ)
    assert isinstance(found, Problem)
    assert str(found) == said


PARTS = [
    *STRING.split(";"),
    *SAS.split(";"),
    f"BlobEndpoint=http://stcontoso.blob.core.windows.net/{KEY}",
    f"BlobEndpoint=http://{KEY}@stcontoso.blob.core.windows.net",
    f"AccountName={KEY}",
    f"EndpointSuffix={KEY}",
    ";",
    "=",
    "x",
    "AccountKey",
]


@as_often_as(100)
@given(st.lists(st.sampled_from(PARTS)))
def test_no_connection_string_however_broken_is_quoted(parts: list[str]) -> None:
    found = read_storage({"AzureWebJobsStorage": ";".join(parts)})
    assert KEY not in repr(found)
    assert KEY not in str(found)
