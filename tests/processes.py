"""Python in a process of its own: for what must not, or cannot, happen in the process of the tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def environment(**changes):
    """The environment of this process with changes; a variable of None is left out."""
    merged = {**os.environ, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def run_python(code, *arguments, timeout=60, check=True, **changes):
    """Run `code` with warnings as errors; return the finished process with its output as text."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


# How a program begins that is to be interrupted.
INTERRUPTIBLE = """
import json, signal, sys, time

class Interrupt(Exception):
    pass

def interrupt(number, frame):
    raise Interrupt

# Seconds from a signal until it has ended the call; None if the call has ended before.
def lateness(call, after):
    start = time.perf_counter()
    signal.setitimer(signal.ITIMER_REAL, after)
    try:
        call()
    except Interrupt:
        return time.perf_counter() - start - after
    return None

signal.signal(signal.SIGALRM, interrupt)
"""


# How a program begins that measures what a call takes.
MEASURED = """
import json, sys
from pathlib import Path

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])

# The most bytes that there are at any time of a call, beside those that there were before it.
def extra_memory(call):
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    call()
    return status("VmHWM") - before
"""


def _peaks_can_be_set_back():
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not Linux, or a container that refuses even those whose access(2) is fine
        return False
    return True


needs_memory_peaks = pytest.mark.skipif(not _peaks_can_be_set_back(), reason="needs Linux's memory peaks")
