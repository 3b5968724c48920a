"""The errors a user can meet: each names the place, what was expected, what was found, and what to do."""

import re

# What an address may carry that is nobody else's business: a user's name and password, a token or a signature.
USER = r"((?:https?|ftp|s3|gs)://)[^/?#\s'\"]*@"
SECRET = (
    r"([?&;#](?:x-(?:amz|goog)-(?:signature|credential|security-token)|awsaccesskeyid|googleaccessid|signature|sig"
    r"|(?:access_|auth_|private_|job_)?token|api_?key|password|(?:client_)?secret)=)[^&;#\s'\")]+"
)
CREDENTIALS = f"(?i){USER}|{SECRET}"


class OphioliteError(Exception):
    """Base of every error that is the user's to mend; printed without a traceback, exit code 1."""


class ConfigError(OphioliteError):
    """The config file asks for something that cannot be done."""


class SourceError(OphioliteError):
    """A raw source is missing, damaged, or of a kind that cannot be processed."""


class FormatError(OphioliteError):
    """Bytes do not follow the format they claim, or values do not fit the format asked for."""


class StoreError(OphioliteError):
    """A file cannot be read from or written to the store."""


class LayerError(OphioliteError):
    """A layer folder is not what a job needs it to be."""


class PlanError(OphioliteError):
    """No plan can satisfy the config and the source."""


def explain(where: str, problem: str, *, expected: object = None, got: object = None, do: str) -> str:
    """Word an error message: where, what is wrong, expected, got, what to do; addresses lose their credentials."""
    parts = [f"{where}: {problem}."]
    if expected is not None:
        parts.append(f"Expected {expected}.")
    if got is not None:
        parts.append(f"Got {got}.")
    parts.append(do if do.endswith(".") else f"{do}.")
    return redacted(" ".join(parts))


def redacted(text: str) -> str:
    """Text without the credentials of the addresses in it."""
    return re.sub(SECRET, r"\1***", re.sub(USER, r"\1***@", text, flags=re.I), flags=re.I)
