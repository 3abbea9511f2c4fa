"""Credentials for a server's bucket that allow only some of what can be done there, as a careful house gives to a role.

Rules:
- A right is one of `RIGHTS`: to list, to read, to write, to delete.
- On MinIO they are a session of an hour under a policy (AssumeRole); on Azurite a signature of an hour (SAS).
"""

import hashlib
import hmac
import json
import re
import urllib.request
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from functools import reduce
from typing import Final
from urllib.parse import urlencode

from loopback.servers import (
    ACCOUNT,
    BUCKET,
    DIRECTLY,
    SECRET,
    USER,
    Server,
    account_signature,
    azure_variables,
    s3_variables,
)

RIGHTS: Final = {  # of S3, and the letters of Azure: to create, and to write what is there
    "list": ("s3:ListBucket", "l"),
    "read": ("s3:GetObject", "r"),
    "write": ("s3:PutObject", "cw"),
    "delete": ("s3:DeleteObject", "d"),
}
_REGION: Final = "us-east-1"


def allowed(server: Server, rights: Collection[str]) -> Mapping[str, str]:
    """Name what a client needs that has these rights and no others; in either cloud, always the same variables."""
    if server.root.startswith("az:"):
        return _azure(server.port, "".join(RIGHTS[right][1] for right in rights))
    return _s3(server.port, [RIGHTS[right][0] for right in rights])


def _azure(port: int, may: str) -> Mapping[str, str]:
    said = {
        "AccountName": ACCOUNT,
        "BlobEndpoint": azure_variables(port)["AZURE_STORAGE_ENDPOINT"],
        "SharedAccessSignature": account_signature(services="co", may=may),
    }
    return {"AZURE_STORAGE_CONNECTION_STRING": ";".join(f"{name}={value}" for name, value in said.items())}


def _s3(port: int, actions: Collection[str]) -> Mapping[str, str]:
    resources = [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": resources}],
    }
    said = {"Action": "AssumeRole", "Version": "2011-06-15", "DurationSeconds": "3600", "Policy": json.dumps(policy)}
    body = urlencode(said).encode()
    host = f"127.0.0.1:{port}"
    request = urllib.request.Request(f"http://{host}/", data=body, headers=_signed(host, body))
    with DIRECTLY.open(request) as answer:
        text = answer.read().decode()
    key, secret, token = (
        re.findall(f"<{name}>(.*?)</{name}>", text)[0] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")
    )
    return {**s3_variables(key, secret)(port), "AWS_SESSION_TOKEN": token}


def _signed(host: str, body: bytes) -> Mapping[str, str]:
    """Sign a POST to `/` for the service of sessions: AWS's Signature Version 4."""
    at = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = (at[:8], _REGION, "sts", "aws4_request")
    headers = {"host": host, "x-amz-content-sha256": hashlib.sha256(body).hexdigest(), "x-amz-date": at}
    names = ";".join(headers)
    lines = [f"{name}:{value}" for name, value in headers.items()]
    asked = "\n".join(["POST", "/", "", *lines, "", names, headers["x-amz-content-sha256"]])
    text = "\n".join(["AWS4-HMAC-SHA256", at, "/".join(scope), hashlib.sha256(asked.encode()).hexdigest()])
    key = reduce(lambda before, word: hmac.digest(before, word.encode(), "sha256"), scope, f"AWS4{SECRET}".encode())
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"{USER}/{'/'.join(scope)}"
    return {
        **headers,
        "Authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}",
    }
