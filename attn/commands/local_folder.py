"""Check of flags that name a folder on a local disk."""

from attn.errors import UsageError
from attn.storage.location import Location
from attn.storage.writable import check_writable


def local_folder(url: str, flag: str) -> str:
    """Path of a folder whose files are memory-mapped.

    Args:
        url: value of the flag.
        flag: flag, for the message.

    Raises:
        UsageError: the folder is not local, or cannot be written to.
    """
    folder = Location.at(url)
    if not folder.is_local:
        raise UsageError(f"{flag} {url}: not a local folder. Give a folder on a local disk; it is memory-mapped.")
    check_writable(url)
    return folder.path
