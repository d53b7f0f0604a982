"""Check of flags that name a folder on a local disk."""

from attn.errors import UsageError
from attn.storage.filesystem import is_local, open_filesystem
from attn.storage.writable import check_writable


def local_folder(url: str, flag: str) -> str:
    """Path of a folder whose files are memory-mapped.

    Args:
        url: value of the flag.
        flag: flag, for the message.

    Raises:
        UsageError: the folder is not local, or cannot be written to.
    """
    fs, path = open_filesystem(url)
    if not is_local(fs):
        raise UsageError(f"{flag} {url}: not a local folder. Give a folder on a local disk; it is memory-mapped.")
    check_writable(url)
    return path
