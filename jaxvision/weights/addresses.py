"""Addresses of weights: of a file, or of a part of it.

`FILE.pth#teacher` is the part `teacher` of a file. A file with a # in its own
name is found first.
"""

import os
import pathlib
import re

from jaxvision.downloads import fetch
from jaxvision.weights import published

_HUB = "hf-hub:"
# The end of an address, before its part.
_FILE = re.compile(
  r"\.(npz|safetensors|pth|pt|bin|ckpt|tar|index\.json)(\?[^#]*)?$"
)


def locate(
  path_or_url: str | os.PathLike[str], *, sha256: str | None = None
) -> tuple[pathlib.Path, str]:
  """Returns the local path of a file and its part; downloads it if necessary.

  Args:
    path_or_url: as for `weights.load`.
    sha256: as for `weights.load`; None for the published one, if there is one.

  Raises:
    FileNotFoundError, ConnectionError, ImportError, ValueError: as
      `fetch.local_path`.
  """
  address, part = _split(path_or_url)
  return fetch.local_path(address, sha256=sha256 or _published(address)), part


def without_part(path_or_url: str | os.PathLike[str]) -> str:
  """Returns the address of the file."""
  return _split(path_or_url)[0]


def _split(path_or_url: str | os.PathLike[str]) -> tuple[str, str]:
  address = os.fspath(path_or_url)
  file, _, part = address.rpartition("#")
  is_file = _FILE.search(file) or file.startswith(_HUB)
  if not part or not is_file or os.path.exists(os.path.expanduser(address)):
    return address, ""
  return file, part


def _published(address: str) -> str | None:
  """The published beginning of the SHA-256 of a file, by its name."""
  row = published_row(address, pathlib.Path(address))
  return row.sha256_prefix or None if row else None


def published_row(
  address: str, path: pathlib.Path
) -> published.PublishedFile | None:
  """Returns the row of published.csv for an address or a file name.

  A local file is identified by its published name, such as BiT-M-R50x1.npz, or
  by its folder in the cache of the Hub.

  Args:
    address: the address, without a part.
    path: the local path.
  """
  if address.startswith("gs://"):
    address = fetch.web_address(address)
  cached = re.search(r"/models--([^/]+)--([^/]+)/snapshots/", str(path))
  for row in published.rows():
    of_hub = row.url.startswith(_HUB)
    url = row.url if of_hub else fetch.web_address(row.url)
    named = not of_hub and path.name == row.url.split("/")[-1]
    if address == url or (named and "://" not in address):
      return row
    if cached and row.label == "/".join(cached.groups()):
      return row
  return None
