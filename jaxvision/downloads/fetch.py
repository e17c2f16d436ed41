"""Addresses of files: what they are called here once they have been fetched.

An address is a path of this machine, `https://host/path`, `gs://bucket/object`
of a public bucket, or `hf-hub:owner/name[:file]` of the Hugging Face Hub.

What is fetched is kept in $JAXVISION_CACHE, else $XDG_CACHE_HOME/jaxvision,
else ~/.cache/jaxvision, under downloads/host/path, so that one can also put it
there by hand; files of the Hub are kept where huggingface_hub keeps them
($HF_HOME). With JAXVISION_OFFLINE=1 only what is kept is used.
"""

import hashlib
import os
import pathlib
import re
import urllib.parse

from jaxvision import files
from jaxvision.downloads import http, redaction

_BUCKETS = "https://storage.googleapis.com"
_HUB = "hf-hub:"
_HUB_FILE = "model.safetensors"
# Keys of a query whose values are nobody else's business.
_SECRET = re.compile("auth|cred|key|pass|pwd|secret|sig|token", re.IGNORECASE)


def local_path(
  path_or_url: str | os.PathLike[str],
  *,
  sha256: str | None = None,
  cache_dir: str | os.PathLike[str] | None = None,
  offline: bool | None = None,
) -> pathlib.Path:
  """Returns the path of a file on this machine, fetching it if it must.

  Args:
    path_or_url: the address; `hf-hub:owner/name` is its model.safetensors.
    sha256: 64 hexadecimal digits that the file must have.
    cache_dir: keeps what is fetched, in place of the folders above.
    offline: whether to use only what is there already; None is as
      JAXVISION_OFFLINE says.

  Raises:
    FileNotFoundError: no such file; offline, it has not been fetched before.
    ConnectionError: the address cannot be reached.
    ImportError: `hf-hub:` without huggingface_hub.
    ValueError: an address of another kind, or another checksum. A file that
      was there before is left as it is.
  """
  address = os.fspath(path_or_url)
  if offline is None:
    offline = os.environ.get("JAXVISION_OFFLINE", "0") not in ("", "0")
  if address.startswith(_HUB):
    path = _from_hub(address, cache_dir=cache_dir, offline=offline)
  elif "://" in address:
    url = web_address(address)
    kept = cache_dir or files.cache_folder() / "downloads"
    path = _place(url, pathlib.Path(kept))
    if not path.exists():
      if offline:
        raise FileNotFoundError(
          f"{redaction.without_secrets(address)} has not been fetched, and "
          f"this is offline: put the file at {path}, or give the path of your "
          "own copy"
        )
      http.download(url, path, sha256=sha256)
      return path
  else:
    path = pathlib.Path(address).expanduser()
    if not path.exists():
      raise FileNotFoundError(f"there is no file {path}")
  http.check_sha256(path, sha256, source=str(path))
  return path


def web_address(address: str) -> str:
  """Returns the https:// address of a gs:// one; others as they are.

  Raises:
    ValueError: it is neither http, https nor gs, or has no file's name.
  """
  scheme, _, rest = address.partition("://")
  host, _, name = rest.partition("/")
  shown = redaction.without_secrets(address)
  if scheme not in ("http", "https", "gs"):
    raise ValueError(
      f"{shown}: {scheme}:// is not known here; use https://, gs://, "
      f"{_HUB}owner/name, or fetch the file and give its path"
    )
  if not host or not name or name.endswith("/"):
    raise ValueError(f"{shown} names no file; it should be host/path/to/file")
  if scheme == "gs":
    return f"{_BUCKETS}/{host}/{urllib.parse.quote(name)}"
  return address


def _place(url: str, cache_dir: pathlib.Path) -> pathlib.Path:
  """Returns where the file of an address is kept: cache_dir/host/path.

  A query belongs to the name; one with a password or a signature as a digest.
  """
  parts = urllib.parse.urlsplit(url)
  name = urllib.parse.unquote(parts.path).strip("/")
  if _SECRET.search(parts.query):
    digest = hashlib.sha256(parts.query.encode()).hexdigest()[:16]
    name += f"?{digest}"
  elif parts.query:
    name += "?" + urllib.parse.quote(parts.query, safe="")
  if ".." in pathlib.PurePosixPath(name).parts:
    shown = redaction.without_secrets(url)
    raise ValueError(f"{shown} leaves its folder by '..'; write it without")
  return cache_dir / parts.netloc.rpartition("@")[2] / name


def _from_hub(
  address: str, *, cache_dir: str | os.PathLike[str] | None, offline: bool
) -> pathlib.Path:
  """Returns the path that huggingface_hub gives to a file of the Hub."""
  repository, _, name = address.removeprefix(_HUB).partition(":")
  if len(repository.split("/")) != 2:
    raise ValueError(f"{address} should be {_HUB}owner/name or with :file")
  try:
    import huggingface_hub
    from huggingface_hub import errors
  except ImportError:
    raise ImportError(
      f"{address} needs huggingface_hub: pip install jaxvision[hub], or fetch "
      f"the file yourself and give its path"
    ) from None
  name = name or _HUB_FILE
  try:
    found = huggingface_hub.hf_hub_download(
      repository, name, cache_dir=cache_dir, local_files_only=offline
    )
  except errors.LocalEntryNotFoundError as error:
    reason = "this is offline" if offline else "the Hub cannot be reached"
    raise (FileNotFoundError if offline else ConnectionError)(
      f"{address} has not been fetched, and {reason}: fetch "
      f"https://huggingface.co/{repository}/resolve/main/{name} elsewhere and "
      "give its path"
    ) from error
  return pathlib.Path(found)
