"""The commands. A file declares one or more commands and their arguments."""

from jaxvision.cli.main import DIVERGED, INTERRUPTED, PREEMPTED, main

__all__ = ["DIVERGED", "INTERRUPTED", "PREEMPTED", "main"]
