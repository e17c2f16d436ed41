"""The commands: each file declares one or more, and calls one function each."""

from jaxvision.cli.main import DIVERGED, INTERRUPTED, PREEMPTED, main

__all__ = ["DIVERGED", "INTERRUPTED", "PREEMPTED", "main"]
