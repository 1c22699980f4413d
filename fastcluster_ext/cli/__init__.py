"""The command line: reduce photos to k colors, cut their dendrograms, a demonstration, and what this installation is.

A command is a module with `add_command`. Exit codes: 0 all done, 1 at least one image failed, 2 wrong usage, 130
interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import fastcluster_ext
from fastcluster_ext.cli import _demo, _info, _quantize, _tree
from fastcluster_ext.cli._shared import UserError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line with `arguments` (by default the process's) and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        return code
    except UserError as failure:
        print(f"fastcluster-ext: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("fastcluster-ext: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`| head`). Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fastcluster-ext", description="Fast, exact clustering of images.")
    parser.add_argument("--version", action="version", version=f"fastcluster_ext {fastcluster_ext.__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    for module in (_quantize, _tree, _demo, _info):
        module.add_command(commands)
    return parser
