"""The exceptions that are the user's to read: a line each, and the code a stage exits with."""

import errno
import os

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The system's names for a disk, a quota or a file that takes no more."""


class InputError(ValueError):
    """What the user gave cannot be used. The message is one line: fact, place, remedy; the stage exits with 2."""

    exit_code = 2


class StorageError(RuntimeError):
    """The disk is full, or what lies on it is damaged."""

    exit_code = 3


class Diverged(RuntimeError):
    """The training found no finite gradient too often; the message names the documents it read last."""

    exit_code = 4


class Busy(RuntimeError):
    """Another run is making this artifact; the message says which process, where, since when."""

    exit_code = 5


class Interrupted(RuntimeError):
    """A signal asked the run to stop, and it left what it needs to go on: the same command continues."""

    exit_code = 75


def is_disk_full(error: Exception) -> bool:
    """Whether a failure says that nothing more can be written; safetensors tells it in words alone."""
    return getattr(error, "errno", None) in FULL or any(os.strerror(number) in str(error) for number in FULL)
