"""Optuna's storage: SQLite in the sweep's folder, or a database at a URL."""

import contextlib
import functools
import pathlib
import sqlite3
import types
import warnings
from collections.abc import Iterator
from typing import Any

_SQLITE_TIMEOUT = 120.0  # seconds to wait for other writers


def import_optuna() -> types.ModuleType:
  """Imports Optuna when it is needed.

  Raises:
    ValueError: Optuna is not installed.
  """
  try:
    import optuna
  except ImportError:
    raise ValueError(
      "sweeps need Optuna, which is not installed; run pip install 'jaxvision"
      "[sweep]'"
    ) from None
  optuna.logging.set_verbosity(optuna.logging.WARNING)
  return optuna


def open_storage(url: str | pathlib.Path, *, beat: int, grace: int) -> Any:
  """Opens a storage with heartbeats.

  Args:
    url: an SQLAlchemy URL, or the path of an SQLite file.
    beat: seconds between heartbeats.
    grace: seconds without a heartbeat after which a worker is assumed dead.

  Raises:
    ValueError: the storage does not open, or the file is damaged. The message
      does not contain the password.
  """
  optuna = import_optuna()
  options = {"pool_pre_ping": True}
  if isinstance(url, pathlib.Path):
    _check_intact(url)
    # Connect by path: in a URL some characters of the path are special.
    options["creator"] = functools.partial(_connect, url)
    url = "sqlite:///sweep.db"
  elif is_sqlite(url):
    options["connect_args"] = {"timeout": _SQLITE_TIMEOUT}
  try:
    with without_warnings():
      return optuna.storages.RDBStorage(
        url,
        engine_kwargs=options,
        heartbeat_interval=beat,
        grace_period=grace,
      )
  except Exception as error:  # SQLAlchemy and its drivers raise many types
    hidden = _without_password(str(error), url)
    raise ValueError(
      f"the storage cannot be opened: {hidden}\n--storage takes a URL of "
      "SQLAlchemy, sqlite:////path/sweep.db or postgresql+psycopg2://user:"
      "password@host/database (pip install 'jaxvision[postgres]')"
    ) from None


def is_sqlite(url: str | pathlib.Path) -> bool:
  """Whether the storage is an SQLite file."""
  return isinstance(url, pathlib.Path) or url.startswith("sqlite")


def _check_intact(path: pathlib.Path) -> None:
  """Raises ValueError unless SQLite can read the complete file."""
  if not path.exists():
    return
  try:
    with contextlib.closing(_connect(path)) as database:
      ((found,), *_) = database.execute("PRAGMA quick_check(1)").fetchall()
  except sqlite3.OperationalError as error:
    raise ValueError(f"{path} cannot be opened: {error}") from error
  except sqlite3.DatabaseError as error:
    found = str(error)
  if found != "ok":
    raise ValueError(
      f"{path}, the storage of the sweep, is damaged: {found}. Trials that "
      "have ended are not lost, because their folders have the results. Stop "
      "all workers, move the file away and run the same command again"
    )


def _connect(path: pathlib.Path) -> sqlite3.Connection:
  return sqlite3.connect(path, timeout=_SQLITE_TIMEOUT, check_same_thread=False)


def _without_password(text: str, url: str) -> str:
  password = url.partition("@")[0].rpartition(":")[2]
  return text.replace(password, "...") if "@" in url and password else text


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
  """Hides Optuna's warning that heartbeats are experimental."""
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    yield
