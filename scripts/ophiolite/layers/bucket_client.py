"""The connection to an object store: S3 as boto3 speaks it, for `gs://` Google's S3-compatible interface.

Credentials come from where the provider's own tools look, and from nowhere else: environment, `~/.aws` or gcloud's
files, the role of the machine. None of them enters a message. Requests that fail for reasons that pass (status 429 and
5xx, timeouts, lost connections, bytes damaged on the way) are repeated with growing pauses.
"""

from __future__ import annotations

import base64
import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ophiolite.errors import StoreError, explain

GOOGLE = "https://storage.googleapis.com"
TRIES = 10
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 10, 60
CONNECTIONS = 16
PASSING = {
    *("InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown", "Throttling"),
    *("BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch"),
}
ABSENT = {"404", "NoSuchKey", "NotFound"}

ADVICE = {
    "NoCredentialsError": "Give credentials where the provider's tools look: AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, ~/.aws, or the role of this machine",
    "DefaultCredentialsError": "Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
    "NoSuchBucket": "Make the bucket first; the workflow never makes or removes one",
    "AccessDenied": "Allow these credentials to list, read, write and delete below the prefix",
    "403": "Allow these credentials to list, read, write and delete below the prefix",
    "InvalidAccessKeyId": "Check which credentials are set: the store does not know them",
    "SignatureDoesNotMatch": "Check the secret key and the clock of this machine",
}

T = TypeVar("T")


@lru_cache(maxsize=4)
def client(scheme: str) -> Any:
    """A boto3 client for `s3` or `gs`, shared by the threads of this process."""
    import botocore
    from boto3.session import Session
    from botocore.config import Config

    google, endpoint = scheme == "gs", os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    config = Config(
        # Tries are counted in `repeated`, which also repeats answers that end early.
        retries={"total_max_attempts": 1},
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        max_pool_connections=CONNECTIONS,
        # Every body carries its MD5; the newer checksums are unknown to older S3 servers.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # Hosts of one's own seldom have a name per bucket.
        s3={"addressing_style": "path"} if google or endpoint else {},
        **({"signature_version": botocore.UNSIGNED} if google else {}),
    )
    if not google:
        return Session().client("s3", config=config, region_name=os.environ.get("AWS_REGION"))
    emulator = os.environ.get("STORAGE_EMULATOR_HOST")
    made = Session().client("s3", config=config, region_name="auto", endpoint_url=emulator or GOOGLE)
    if not emulator:
        made.meta.events.register("before-sign.s3", _bearer())
    return made


def _bearer() -> Callable[..., None]:
    """Adds Google's token to a request, renewing it in time."""
    import google.auth
    from google.auth.transport.urllib3 import Request
    from urllib3 import PoolManager

    credentials: Any
    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/devstorage.read_write"])

    renewal: Any = Request(PoolManager())  # type: ignore[no-untyped-call]

    def add(request: Any, **_: Any) -> None:
        if not credentials.valid:
            credentials.refresh(renewal)
        request.headers["Authorization"] = f"Bearer {credentials.token}"

    return add


def repeated(call: Callable[[], T], place: str, doing: str) -> T:
    """What `call` returns; it is repeated while it fails for reasons that pass.

    Raises StoreError that names the place, `doing` ("read", "written"), the store's reason and what to do; KeyError
    where there is no such object, IndexError where it ends before the range.
    """
    for tries in range(1, TRIES + 1):
        try:
            return call()
        except Exception as error:
            code = error_code(error)
            if code is None:
                raise
            if code in ABSENT:
                raise KeyError(place) from None
            if code == "InvalidRange":
                raise IndexError(place) from None
            if not _passes(error, code) or tries == TRIES:
                raise _explained(code, place, doing, tries) from None
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (tries - 1))
        time.sleep(pause * random.uniform(0.5, 1.0))
    raise AssertionError("the last try returns or raises")


def passing_on(pieces: Iterator[bytes], place: str) -> Iterator[bytes]:
    """Pieces of a body as they come; raises StoreError where the connection breaks off."""
    try:
        yield from pieces
    except Exception as error:
        code = error_code(error)
        if code is None:
            raise
        raise _explained(code, place, "read", 1) from None


def md5(data: bytes) -> bytes:
    """The checksum that stores compare uploads with, and name objects of one piece by (ETag)."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def md5_header(data: bytes) -> str:
    """The checksum of a body as its request carries it."""
    return base64.b64encode(md5(data)).decode()


def tag_of_parts(sums: bytes, count: int) -> str:
    """The ETag of an object uploaded in parts, from their checksums one after the other."""
    return f"{md5(sums).hex()}-{count}"


def error_code(error: Exception) -> str | None:
    """The store's word for an error, or the name of its class; None for errors that are not the connection's."""
    from botocore.exceptions import BotoCoreError, ClientError
    from google.auth.exceptions import GoogleAuthError
    from urllib3.exceptions import HTTPError

    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "unknown"))
    known = isinstance(error, BotoCoreError | GoogleAuthError | HTTPError | ConnectionError)
    return type(error).__name__ if known else None


def _passes(error: Exception, code: str) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError, IncompleteReadError

    if isinstance(error, ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return status == 429 or status >= 500 or code in PASSING
    if isinstance(error, BotoCoreError):
        return isinstance(error, HTTPClientError | ConnectionError | IncompleteReadError)
    return code not in ADVICE


def _explained(code: str, place: str, doing: str, tries: int) -> StoreError:
    often = f", {tries} tries" if tries > 1 else ""
    do = ADVICE.get(code, f"Check the connection to {_host()}, then run again: finished work is kept")
    return StoreError(explain(place, f"cannot be {doing} ({code}{often})", do=do))


def _host() -> str:
    """The store's host, without whatever else an address may hold."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    return urlsplit(endpoint).hostname or "the object store"
