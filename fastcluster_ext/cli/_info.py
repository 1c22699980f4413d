"""`fastcluster-ext info`: what this installation is."""

from __future__ import annotations

import argparse
import json
from typing import Any

from fastcluster_ext._config import config, show_config

__all__ = ["add_command"]


def add_command(commands: Any) -> None:
    """Describe the command and its options."""
    command = commands.add_parser("info", help="versions, instruction set, compiler, threads")
    command.add_argument("--json", action="store_true", help="as JSON")
    command.set_defaults(run=_info)


def _info(options: argparse.Namespace) -> int:
    if options.json:
        print(json.dumps(config(), indent=2))
    else:
        show_config()
    return 0
