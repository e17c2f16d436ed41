"""The code of a checkout, packed for machines without a checkout."""

import pathlib
import tarfile

from jaxvision.launch import programs


def pack(path: pathlib.Path) -> None:
  """Writes the current directory, with uncommitted files, into an archive.

  Raises:
    OSError: the current directory is not the root of a jaxvision checkout.
  """
  if not pathlib.Path("jaxvision/__main__.py").exists():
    raise OSError(
      f"{pathlib.Path.cwd()} is not a checkout of jaxvision, whose code is "
      "copied to the workers; start this command in the root of a checkout"
    )
  listed = programs.output(
    ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
  )
  with tarfile.open(path, "w:gz") as archive:
    for name in filter(None, listed.split("\0")):
      if pathlib.Path(name).exists():  # git still lists deleted files
        archive.add(name)
