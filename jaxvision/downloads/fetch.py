"""Addresses of files, and the local paths of downloaded files.

An address is a local path, `https://host/path`, `gs://bucket/object` of a
public bucket, or `hf-hub:owner/name[:file]` of the Hugging Face Hub.

Downloads are stored in $JAXVISION_CACHE, else $XDG_CACHE_HOME/jaxvision, else
~/.cache/jaxvision, under downloads/host/path. A user can also copy a file to
this path. The shards that an index (model.safetensors.index.json) names are
downloaded with it. Files of the Hub are stored in the cache of huggingface_hub
($HF_HOME). With JAXVISION_OFFLINE=1, only stored files are used.
"""

import hashlib
import os
import pathlib
import re
import urllib.parse
from typing import Any

from jaxvision import files
from jaxvision.downloads import http, redaction

_BUCKETS = "https://storage.googleapis.com"
_HUB = "hf-hub:"
_HUB_FILE = "model.safetensors"
# The index of a file in several shards, and the names of its shards.
_INDEX = ".safetensors.index.json"
_SHARD = re.compile(r"[\w-][\w.-]*\.safetensors")
# Keys of a URL query whose values are secret.
_SECRET = re.compile("auth|cred|key|pass|pwd|secret|sig|token", re.IGNORECASE)


def local_path(
  path_or_url: str | os.PathLike[str],
  *,
  sha256: str | None = None,
  cache_dir: str | os.PathLike[str] | None = None,
  offline: bool | None = None,
) -> pathlib.Path:
  """Returns the local path of a file; downloads it if necessary.

  Args:
    path_or_url: the address; `hf-hub:owner/name` is its model.safetensors.
    sha256: expected digest of the file: 64 hexadecimal digits, or at least the
      first 8 of them.
    cache_dir: stores downloads here instead of in the folders above.
    offline: whether to use only stored files; None reads JAXVISION_OFFLINE.

  Raises:
    FileNotFoundError: the file does not exist; or, offline, it is not stored.
    ConnectionError: the address cannot be reached.
    ImportError: `hf-hub:` without huggingface_hub.
    ValueError: the kind of address is unknown, or the checksum differs. A file
      that existed before is not changed.
  """
  address = os.fspath(path_or_url)
  if offline is None:
    offline = os.environ.get("JAXVISION_OFFLINE", "0") not in ("", "0")
  stores: dict[str, Any] = {"cache_dir": cache_dir, "offline": offline}
  if address.startswith(_HUB):
    path = _from_hub(address, **stores)
  elif "://" in address:
    url = web_address(address)
    kept = cache_dir or files.cache_folder() / "downloads"
    path = _place(url, pathlib.Path(kept))
    if not path.exists():
      if offline:
        raise FileNotFoundError(
          f"{redaction.without_secrets(address)} has not been downloaded, and "
          f"offline mode is on: put the file at {path}, or give the path of "
          "your own copy"
        )
      http.download(url, path, sha256=sha256)
  else:
    path = pathlib.Path(address).expanduser()
    if not path.exists():
      raise FileNotFoundError(f"there is no file {path}")
  http.check_sha256(path, sha256, source=str(path))
  is_local = "://" not in address and not address.startswith(_HUB)
  if path.name.endswith(_INDEX) and not is_local:
    _fetch_shards(address, path, **stores)
  return path


def _fetch_shards(address: str, index: pathlib.Path, **stores: Any) -> None:
  """Fetches the files that an index names, into the folder of the index.

  Raises:
    ValueError: the index is damaged, or names a file in another folder.
  """
  shown = redaction.without_secrets(address)
  remedy = f"delete {index} and fetch it again"
  places = files.read_json(index, remedy=remedy).get("weight_map")
  names = list(places.values()) if isinstance(places, dict) else [None]
  for name in dict.fromkeys(map(str, names)):
    if not _SHARD.fullmatch(name):
      raise ValueError(
        f"{shown} names the file {files.printable(name)}; expected the name of "
        f"a .safetensors file in the same folder; {remedy}"
      )
    folder = address[: max(address.rfind("/"), address.rfind(":")) + 1]
    shard = local_path(folder + name, **stores)
    if shard.parent != index.parent:
      raise ConnectionError(
        f"{shown} has changed during the download: repeat the command"
      )


def web_address(address: str) -> str:
  """Converts a gs:// address to https://; other addresses stay unchanged.

  Raises:
    ValueError: the address is neither http, https nor gs, or names no file.
  """
  scheme, _, rest = address.partition("://")
  host, _, name = rest.partition("/")
  shown = redaction.without_secrets(address)
  if scheme not in ("http", "https", "gs"):
    raise ValueError(
      f"{shown}: {scheme}:// is not supported; use https://, gs://, "
      f"{_HUB}owner/name, or download the file and give its path"
    )
  if not host or not name or name.endswith("/"):
    raise ValueError(f"{shown} names no file; it should be host/path/to/file")
  if scheme == "gs":
    return f"{_BUCKETS}/{host}/{urllib.parse.quote(name)}"
  return address


def _place(url: str, cache_dir: pathlib.Path) -> pathlib.Path:
  """Returns the path that stores the file of an address: cache_dir/host/path.

  A query becomes part of the name. A query with a password or a signature is
  replaced by a digest.
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
    raise ValueError(f"{shown} contains '..'; write the address without it")
  return cache_dir / parts.netloc.rpartition("@")[2] / name


def _from_hub(
  address: str, *, cache_dir: str | os.PathLike[str] | None, offline: bool
) -> pathlib.Path:
  """Returns the path of a Hub file in the cache of huggingface_hub."""
  repository, _, name = address.removeprefix(_HUB).partition(":")
  if len(repository.split("/")) != 2:
    raise ValueError(
      f"{address} is not a Hub address; expected {_HUB}owner/name or "
      f"{_HUB}owner/name:file"
    )
  try:
    import huggingface_hub
    from huggingface_hub import errors
  except ImportError:
    raise ImportError(
      f"{address} needs huggingface_hub: pip install jaxvision[hub], or "
      f"download the file yourself and give its path"
    ) from None
  name = name or _HUB_FILE
  try:
    found = huggingface_hub.hf_hub_download(
      repository, name, cache_dir=cache_dir, local_files_only=offline
    )
  except errors.LocalEntryNotFoundError as error:
    reason = "offline mode is on" if offline else "the Hub cannot be reached"
    raise (FileNotFoundError if offline else ConnectionError)(
      f"{address} has not been downloaded, and {reason}: download "
      f"https://huggingface.co/{repository}/resolve/main/{name} elsewhere and "
      "give its path"
    ) from error
  return pathlib.Path(found)
