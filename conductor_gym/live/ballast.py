"""Room on the disk that is held free for replies that are paid but not yet written."""

import os
from pathlib import Path

MEBIBYTE = 1 << 20


class Ballast:
    """A file beside a journal, really written, that gives its room back piece by piece.

    Args:
        path: The file. It begins with the pid of the process that holds it.

    Raises:
        OSError: The disk is full already, or the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        self._size = 0
        # Random, so that no filesystem stores it in less room than it stands for.
        self._block = b"%d\n" % os.getpid() + os.urandom(MEBIBYTE)
        try:
            self.grow(MEBIBYTE)
        except OSError:
            self.close()
            raise

    def grow(self, size: int) -> None:
        """Hold at least so many bytes.

        Raises:
            OSError: There is no room for them; what could be written is held.
        """
        while self._size < size:
            self._size += os.pwrite(self._fd, self._block, self._size)

    def give(self, size: int) -> bool:
        """Free so many bytes, False where nothing is left to free."""
        if self._size == 0:
            return False
        # Whole blocks of the filesystem; not all at once, others may be short of room too.
        self._size = max(0, self._size - max(size, MEBIBYTE // 16))
        os.ftruncate(self._fd, self._size)
        return True

    def close(self) -> None:
        """Give everything back."""
        os.close(self._fd)
        self.path.unlink(missing_ok=True)


def holder_of(path: Path) -> str:
    """Who holds a ballast file, in words."""
    try:
        with path.open("rb") as file:
            pid = file.read(24).split(b"\n")[0].decode("ascii", "replace")
    except OSError:
        return "another process"
    return f"process {pid}" if pid.isdigit() else "another process"
