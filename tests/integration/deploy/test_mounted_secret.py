"""The key ring of a real read-only mount, as a process that is not root reads it in a pod."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.tokens.keyring import list_keys, new_key

NOW = 1_790_000_000
USER, PODS_GROUP = 10_001, 20_001

# Everything is imported before the user changes: a checkout may be closed to others.
_POD = """\
import json, os, subprocess, sys
from pathlib import Path
from gateway.errors import KeyRingError
from gateway.tokens.keyring import list_keys, new_key

source, mounted, user, group = Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:])
subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "none", str(mounted)], check=True)
version = mounted / "..2026_11_28_18_00_00.1"
version.mkdir(mode=0o755)
for file in source.iterdir():
    shown = version / file.name
    shown.write_bytes(file.read_bytes())
    os.chown(shown, 0, group)
    shown.chmod(0o440)
    (mounted / file.name).symlink_to(f"..data/{file.name}")
(mounted / "..data").symlink_to(version.name)

def kids():
    try:
        return [entry.kid for entry in list_keys(mounted)]
    except KeyRingError as exc:
        return str(exc)

writable = kids()
# As a container has it: the mount is read-only, and not the file system, which the kubelet goes on writing.
subprocess.run(["mount", "-o", "remount,bind,ro", str(mounted)], check=True)
os.setgroups([group]); os.setgid(user); os.setuid(user)
as_member = kids()
try:
    new_key(mounted, now_s=0)
    made = "made"
except KeyRingError as exc:
    made = str(exc)
print(json.dumps({"writable": writable, "as_member": as_member, "made": made}))
"""


def test_a_process_of_the_pods_group_reads_the_ring_and_changes_nothing(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root mounts a file system and changes its user")
    source, mounted = tmp_path / "source", tmp_path / "mounted"
    mounted.mkdir()
    for way in (mounted, tmp_path, *tmp_path.parents[:2]):
        way.chmod(way.stat().st_mode | 0o011)
    new_key(source, now_s=NOW)
    new_key(source, now_s=NOW + 1)
    words = [str(source), str(mounted), str(USER), str(PODS_GROUP)]
    probe = subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True)
    if probe.returncode != 0:
        pytest.skip("this machine lets nobody have mounts of their own (unshare --mount)")
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", _POD, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "mount it with readOnly: true" in found["writable"]
    assert found["as_member"] == [entry.kid for entry in list_keys(source)]
    assert "is mounted from outside" in found["made"]
