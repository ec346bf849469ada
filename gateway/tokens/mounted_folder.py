"""A key ring that is mounted from outside: the layout in which Kubernetes shows a Secret.

    <dir>/..2026_11_28_18_00_00.123/<kid>.pem   the files, root's, of the pod's `fsGroup`, mode 0440
    <dir>/..data -> ..2026_11_28_18_00_00.123   changes in one step when the Secret does
    <dir>/<kid>.pem -> ..data/<kid>.pem         for people; not followed here

Three rules of the key ring do not fit it, and each stands for something that the mount itself gives:

- No links: `..data` alone is followed, once, to a folder beside it. A link to anywhere else is refused.
- Nobody else may write: the mount's own folder is everybody's (1777), so it must be mounted read-only.
- Only the owner may read: root owns the files, and a process that is not root reads them as one of the
  pod's group. Reading by a group is believed here only: on a read-only mount, of files of root's or
  our own, of a group that is ours, and with nothing at all for others.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.errors import KeyRingError

_DATA: Final = "..data"
_FOR_OTHERS_OR_CHANGE: Final = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class RingFiles:
    """Where the files of a key ring are.

    Attributes:
        folder: The folder that holds them itself.
        is_mounted: Whether it is a mounted Secret, which is changed where it comes from.
    """

    folder: Path
    is_mounted: bool

    def is_private(self, status: os.stat_result) -> bool:
        """Whether a private key's file is for nobody but us."""
        if not status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            return True
        return (
            self.is_mounted
            and not status.st_mode & _FOR_OTHERS_OR_CHANGE
            and status.st_uid in {0, os.geteuid()}
            and status.st_gid in {os.getegid(), *os.getgroups()}
        )


def find_ring_files(folder: Path) -> RingFiles:
    """Return where the files of the ring `folder` are.

    Raises:
        KeyRingError: It looks like a mounted Secret, and is not mounted as one.
        OSError: It cannot be looked at.
    """
    try:
        target = os.readlink(folder / _DATA)
    except OSError:
        # None, or none that is a link: a folder of our own.
        return RingFiles(folder, is_mounted=False)
    inner = folder / target
    if "/" in target or not target.startswith("..") or target == "..":
        raise KeyRingError(f"{folder / _DATA}: leads out of the folder: mount the Secret itself")
    if not os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise KeyRingError(
            f"{folder}: looks like a mounted Secret, and can be written: mount it with readOnly: true"
        )
    if not stat.S_ISDIR(inner.lstat().st_mode):
        raise KeyRingError(f"{inner}: is not a folder: mount the Secret itself")
    return RingFiles(inner, is_mounted=True)
