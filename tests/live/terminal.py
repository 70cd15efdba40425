#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""terminal.py VSM_RUN BZIMAGE: vsm-run on a terminal. What is typed reaches the guest byte by byte, unchanged and
without echo; Ctrl-C ends vsm-run with status 130 and the terminal as it was."""
import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
import time

vsm_run, image = sys.argv[1:]
DEADLINE = time.monotonic() + 60


def check(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")


def read_until(fd, wanted, seen=b""):
    while wanted not in seen:
        ready, _, _ = select.select([fd], [], [], max(0, DEADLINE - time.monotonic()))
        check(ready, f"{wanted!r} did not come; got {seen!r}")
        seen += os.read(fd, 4096)
    return seen


def settings(fd):
    return termios.tcgetattr(fd)


def start(slave):
    return subprocess.Popen([vsm_run, "--mem", "64M", "--append", "echo", image],
                            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))


probe = subprocess.run([vsm_run, "--probe"], stdout=subprocess.DEVNULL, check=False)
if probe.returncode == 6:
    sys.exit(77)

master, slave = pty.openpty()
before = settings(slave)
child = start(slave)
read_until(master, b"echoes\r\n")
during = settings(slave)
check(not during[3] & (termios.ICANON | termios.ECHO), "the terminal is not in raw mode")
os.write(master, b"a\r\x1a\x1b")
read_until(master, b"<61><d><1a><1b>")
os.write(master, b"\x03")
check(child.wait(timeout=30) == 130, f"Ctrl-C: status {child.returncode}")
check(settings(slave) == before, "the terminal is not as it was")
