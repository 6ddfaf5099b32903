"""A small disk to fill: what the tests of a full disk share. Needs the right to mount; without it they are skipped (77)."""
import os
import pathlib
import subprocess
import sys
import tempfile

import small_run


def free_bytes(folder):
    room = os.statvfs(folder)
    return room.f_bavail * room.f_bsize


def fill(disk, left):
    """A file that leaves `left` bytes on the disk."""
    with open(disk / "filler", "wb") as filler:
        filler.write(b"\0" * (free_bytes(disk) - left))


def run_on_small_disk(test, megabytes):
    """Calls `test(folder, disk)` with a folder and a disk of that size in it, then ends the program with its result. The
    calling file is run again inside the mount."""
    if len(sys.argv) > 1:
        folder = pathlib.Path(sys.argv[1])
        test(folder, folder / "disk")
        print(f"{small_run.failures} failed")
        sys.exit(1 if small_run.failures else 0)
    with tempfile.TemporaryDirectory() as name:
        (pathlib.Path(name) / "disk").mkdir()
        mount = ["unshare", "--mount", "--map-root-user", "sh", "-c",
                 f"mount -t tmpfs -o size={megabytes}m none '{name}/disk' && exec \"$@\"", "sh"]
        if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode != 0:
            print("skipped: nothing can be mounted here")
            sys.exit(77)
        sys.exit(subprocess.run([*mount, sys.executable, "-u", sys.argv[0], name], check=False).returncode)
