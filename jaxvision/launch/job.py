"""A job: a jaxvision command and everything that starts it.

A launcher first renders a job: the files to write and the commands to run. A
dry run only shows them. A launch writes and runs the same files and commands.
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
  """A command for a launcher.

  Attributes:
    command: the words after `jaxvision`, such as ("train", "--config", ...).
    folder: for the scripts and logs of the launch.
    python: a Python interpreter with jaxvision.
    train: the arguments of `jaxvision.train` if this is the command; else
      empty.
    secrets: environment variables whose values contain passwords. They must
      not appear in arguments or in files that other users can read.
  """

  command: Words
  folder: Path
  python: str
  train: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  secrets: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Command:
  """A shell command.

  Attributes:
    words: the program and its arguments.
    comment: the purpose of the command, or its time.
  """

  words: Words
  comment: str


@dataclasses.dataclass(frozen=True)
class Rendered:
  """The files and commands of a launch.

  Attributes:
    files: content by path.
    commands: in the order of their execution.
    secret: like `files`, but a dry run does not show the content.
  """

  files: Mapping[Path, str]
  commands: Sequence[Command]
  secret: Mapping[Path, str] = dataclasses.field(default_factory=dict)


def words(job: Job) -> Words:
  """The command of a job, for a machine on which jaxvision is installed."""
  return (job.python, "-m", "jaxvision", *job.command)


def write(rendered: Rendered) -> None:
  """Writes all files into new folders; only this user can read them.

  Raises:
    OSError: a file cannot be written.
  """
  for path, content in {**rendered.files, **rendered.secret}.items():
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, content, mode=0o600)


def show(rendered: Rendered) -> str:
  """The text of a dry run: the files, then the commands in shell syntax."""
  blocks = [
    f"# file {path}\n{content.rstrip()}"
    for path, content in rendered.files.items()
  ]
  blocks += [
    f"# file {path}\n# (not shown: it contains a password)"
    for path in rendered.secret
  ]
  blocks += [
    f"# {each.comment}\n{shlex.join(each.words)}" for each in rendered.commands
  ]
  return "\n\n".join(blocks)
