"""The code of a checkout, packed for machines that have none."""

import pathlib
import tarfile

from jaxvision.launch import programs


def pack(path: pathlib.Path) -> None:
  """Writes the checkout under this directory, with what is not committed.

  Raises:
    OSError: this directory is not the root of a checkout of jaxvision.
  """
  if not pathlib.Path("jaxvision/__main__.py").exists():
    raise OSError(
      f"{pathlib.Path.cwd()} is no checkout of jaxvision; the workers get the "
      "code from there, so start this in its root"
    )
  listed = programs.ask(
    ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
  )
  with tarfile.open(path, "w:gz") as archive:
    for name in filter(None, listed.split("\0")):
      if pathlib.Path(name).exists():  # a deleted one is still listed
        archive.add(name)
