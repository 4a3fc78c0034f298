"""The file under a journal: whole lines, one writer, room held for what must be written."""

import errno
import fcntl
import os
import resource
import threading
from pathlib import Path

from conductor_gym.errors import DataFileError
from conductor_gym.live.ballast import Ballast, holder_of

SYNC_EVERY_S = 1.0
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class JournalFile:
    """Appends lines to a file that this process alone writes. Not for several threads at once.

    Args:
        path: The file, made where it does not exist.

    Attributes:
        path: The file.
        full: Whether there was no room for a line or for what `hold` asked.
        failed_sync: Why lines may not have reached the disk; empty while all is well.
        warning: What is unsafe about this filesystem, for people; empty where nothing is.

    Raises:
        DataFileError: The file cannot be written or is in use by another process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.full = False
        self.failed_sync = self.warning = ""
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self.error(error) from None
        self._ballast: Ballast | None = None
        self._unsynced = False
        self._closing = threading.Event()
        self._syncing = threading.Thread(target=self._sync_often, daemon=True)
        try:
            self._take_lock()
        except DataFileError:
            os.close(self._fd)
            raise
        self._syncing.start()

    def hold(self, room: int) -> None:
        """Hold room for so many bytes of lines that must be written later.

        Raises:
            OSError: There is none, or the file was full before.
        """
        if not self.full:
            try:
                self._held().grow(room)
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                self.full = True
        most = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if most != resource.RLIM_INFINITY and os.fstat(self._fd).st_size + room > most:
            self.full = True
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write(self, line: bytes, must: bool = False) -> None:
        """Write a line.

        Args:
            line: With its newline.
            must: Give up held room for it.

        Raises:
            OSError: It could not be written, and no piece of it was.
        """
        start = os.fstat(self._fd).st_size
        rest = memoryview(line)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except OSError as error:
                no_room = error.errno in NO_ROOM
                self.full = self.full or no_room
                if not (no_room and must and self._held().give(len(rest))):
                    os.ftruncate(self._fd, start)  # no half line before the next one
                    raise
        self._unsynced = True

    def error(self, error: OSError) -> DataFileError:
        """The error for a person whose file cannot be written."""
        return DataFileError(f"{self.path}: cannot be written ({error.strerror}).")

    def close(self) -> None:
        """Sync, give held room back and let others have the file."""
        self._closing.set()
        self._syncing.join()
        self._sync()
        if self._ballast is not None:
            self._ballast.close()
        os.close(self._fd)
        self._fd = -1  # a late line fails, and lands in no file that is opened next

    @property
    def _beside(self) -> Path:
        return self.path.with_name(f".{self.path.name}.ballast")

    def _held(self) -> Ballast:
        if self._ballast is None:
            self._ballast = Ballast(self._beside)
        return self._ballast

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise DataFileError(
                    f"journal {self.path} is in use by {holder_of(self._beside)}. Wait for it, "
                    "stop it, or name another file."
                ) from None
            self.warning = f"{self.path}: no locks here, take care that one run alone writes it"

    def _sync_often(self) -> None:
        while not self._closing.wait(SYNC_EVERY_S):
            self._sync()

    def _sync(self) -> None:
        if not self._unsynced:
            return
        self._unsynced = False
        try:
            os.fsync(self._fd)
        except OSError as error:
            self.failed_sync = error.strerror or str(error)
