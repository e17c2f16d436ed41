"""What is launched: a command of jaxvision, and all that is done to start it.

A launcher first renders a job: the files it will write and the commands it will
run. A dry run shows them, a real one writes and runs the same.
"""

import dataclasses
import pathlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from jaxvision import files

Path = pathlib.Path
Words = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Job:
  """A command that some engine shall run.

  Attributes:
    command: the words after `jaxvision`, as ("train", "--config", ...).
    folder: of the scripts and logs of the launch.
    python: the interpreter that has jaxvision.
    train: what `jaxvision.train` takes, if that is the command; else empty.
    secrets: variables for its environment with passwords in their values, which
      must stand in no arguments and in no file that others can read.
  """

  command: Words
  folder: Path
  python: str
  train: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  secrets: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Command:
  """A command of the shell.

  Attributes:
    words: the program and its arguments.
    comment: what it does, or when.
  """

  words: Words
  comment: str


@dataclasses.dataclass(frozen=True)
class Rendered:
  """All that a launch does.

  Attributes:
    files: content by path.
    commands: in their order.
    secret: like `files`, but a dry run does not show the content.
  """

  files: Mapping[Path, str]
  commands: Sequence[Command]
  secret: Mapping[Path, str] = dataclasses.field(default_factory=dict)


def words(job: Job) -> Words:
  """The job's command as it is run where jaxvision is installed."""
  return (job.python, "-m", "jaxvision", *job.command)


def write(rendered: Rendered) -> None:
  """Writes all files, which only this user can read, into new folders.

  Raises:
    OSError: one cannot be written.
  """
  for path, content in {**rendered.files, **rendered.secret}.items():
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, content, mode=0o600)


def show(rendered: Rendered) -> str:
  """The text of a dry run: files, then commands that a shell would take."""
  blocks = [
    f"# file {path}\n{content.rstrip()}"
    for path, content in rendered.files.items()
  ]
  blocks += [
    f"# file {path}\n# (not shown: it has a password)"
    for path in rendered.secret
  ]
  blocks += [
    f"# {each.comment}\n{shlex.join(each.words)}" for each in rendered.commands
  ]
  return "\n\n".join(blocks)
