"""Temporary files of this machine that outlive a job, for work whose results go to an object store."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from ophiolite.errors import StoreError, explain


def scratch_root(url: str) -> Path:
    """The folder for unfinished work of one store, below `$TMPDIR`; raises StoreError where it is another user's.

    Its name follows from user and address alone, so that a job tried again on this machine finds it.
    """
    own = Path(tempfile.gettempdir()) / f"ophiolite-{os.getuid()}"
    try:
        own.mkdir(mode=0o700, exist_ok=True)
        state = own.lstat()
    except OSError as error:
        raise StoreError(
            explain(str(own), f"cannot be made ({error.strerror})", do="Set TMPDIR to a folder on a local disk")
        ) from None
    # Names below a shared /tmp are foreseeable: somebody else may have made the folder, or a link, first.
    if state.st_uid != os.getuid() or not own.is_dir() or own.is_symlink() or state.st_mode & 0o077:
        raise StoreError(
            explain(str(own), "is not this user's own folder", expected="mode 700", do="Remove it, or set TMPDIR")
        )
    return own / hashlib.sha256(url.encode()).hexdigest()[:16]
