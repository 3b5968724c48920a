"""What a file of so many bytes can hold: what a damaged header asks for beyond it is refused before it is allocated."""

from __future__ import annotations

# Below this nothing is judged: small background compresses without bounds in most codecs.
LEAST_BYTES = 128 * 2**20
# More than deflate's 1032 and than Zstandard's 32768, of blocks that repeat one byte.
LARGEST_RATIO = 40_000


def check_size(decoded_bytes: int, stored_bytes: int) -> None:
    """ValueError where no codec makes so many bytes of so few."""
    if decoded_bytes > max(LEAST_BYTES, LARGEST_RATIO * stored_bytes):
        raise ValueError(f"its header promises {decoded_bytes} bytes in {stored_bytes} compressed ones")


def check_place(offset: int, size: int, file_bytes: int) -> None:
    """ValueError where a part of a file lies behind its end."""
    if offset + size > file_bytes:
        raise ValueError(f"{size} bytes at byte {offset} are expected, but the file ends at {file_bytes}")
