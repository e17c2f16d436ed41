"""Optuna's storage: SQLite in the sweep's folder, or a database by its URL."""

import contextlib
import types
import warnings
from collections.abc import Iterator
from typing import Any

_SQLITE_TIMEOUT = 120.0  # seconds to wait for other writers


def engine() -> types.ModuleType:
  """Optuna, imported when it is needed.

  Raises:
    ValueError: it is not installed.
  """
  try:
    import optuna
  except ImportError:
    raise ValueError(
      "sweeps need Optuna, which is not installed: pip install 'jaxvision"
      "[sweep]'"
    ) from None
  optuna.logging.set_verbosity(optuna.logging.WARNING)
  return optuna


def open_storage(url: str, *, beat: int, grace: int) -> Any:
  """A storage that knows of heartbeats.

  Args:
    url: as SQLAlchemy writes it.
    beat: seconds between heartbeats.
    grace: seconds without one, after which a worker counts as dead.

  Raises:
    ValueError: it cannot be opened; the message has no password.
  """
  optuna = engine()
  connect = {"timeout": _SQLITE_TIMEOUT} if url.startswith("sqlite") else {}
  try:
    with without_warnings():
      return optuna.storages.RDBStorage(
        url,
        engine_kwargs={"connect_args": connect, "pool_pre_ping": True},
        heartbeat_interval=beat,
        grace_period=grace,
      )
  except Exception as error:  # whatever SQLAlchemy and the drivers raise
    hidden = _without_password(str(error), url)
    raise ValueError(
      f"the storage cannot be opened: {hidden}\n--storage takes what "
      "SQLAlchemy takes, sqlite:////path/sweep.db or postgresql+psycopg2://user:"
      "password@host/database (pip install 'jaxvision[postgres]')"
    ) from None


def _without_password(text: str, url: str) -> str:
  password = url.partition("@")[0].rpartition(":")[2]
  return text.replace(password, "...") if "@" in url and password else text


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
  """For heartbeats, which are called experimental at each use."""
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    yield
