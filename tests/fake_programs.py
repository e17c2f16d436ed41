"""Programs that stand in for others: Python scripts that can be executed."""

import pathlib
import sys
import textwrap


def write(path: pathlib.Path, code: str) -> str:
  """Writes a program; returns its path."""
  path.write_text(
    f"#!{sys.executable} -S\n{textwrap.dedent(code)}", encoding="utf-8"
  )
  path.chmod(0o755)
  return str(path)
