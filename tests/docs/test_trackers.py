"""The commands and the tracker of docs/trackers.md are run."""

import contextlib
import http.server
import importlib.util
import json
import pathlib
import re
import shlex
import threading

import pytest
import spawned

from jaxvision.runs import metrics_log, trackers
from jaxvision.runs.trackers import delivery, wandb_runs

_TEXT = (pathlib.Path(__file__).parents[2] / "docs" / "trackers.md").read_text(
  "utf-8"
)
_BLOCKS = re.findall(r"```bash\n(.*?)```", _TEXT, re.DOTALL)
[_CODE] = re.findall(r"```python\n# my_tracker\.py\n(.*?)```", _TEXT, re.DOTALL)
_LINES = "".join(_BLOCKS).splitlines()


@contextlib.contextmanager
def _serve(posted):
  """Serves the address of the page on any free port; yields the port."""

  class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
      size = int(self.headers["Content-Length"])
      posted.append(json.loads(self.rfile.read(size)))
      self.send_response(200)
      self.end_headers()

    def log_message(self, *_):
      pass

  with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
      yield server.server_port
    finally:
      server.shutdown()
      thread.join()


def _run(line, folder, code=_CODE):
  """Runs a command of the page in a folder; returns its output."""
  (folder / "my_tracker.py").write_text(code)
  words = shlex.split(line)
  variables = {"TFDS_DATA_DIR": spawned.prepared_digits()}
  while "=" in words[0]:
    name, _, value = words.pop(0).partition("=")
    variables[name] = value
  assert words.pop(0) == "jaxvision"
  here = str(spawned.recipe("digits.py:linear"))
  words = [here if w == "configs/digits.py:linear" else w for w in words]
  output = folder / "output.txt"
  done = spawned.start(words, output=output, variables=variables)
  assert done.wait() == 0, output.read_text()
  return output.read_text()


def test_the_page_has_these_commands():
  assert len(_LINES) == 4


@pytest.mark.slow
def test_the_own_tracker_posts_every_line(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  posted = []
  mine = [line for line in _LINES if "runs/mine" in line]
  with _serve(posted) as port:
    code = _CODE.replace(":8000", f":{port}")
    for line in mine:  # the last one finds a finished run
      assert "the tracker" not in _run(line, tmp_path, code)
  first, *lines, last = posted
  assert first["name"] == "mine" and first["config"]["seed"] == 0
  assert last["end"] == "finished" and "final/test_ema/top1" in last["summary"]
  expected = metrics_log.read_metrics(tmp_path / "runs" / "mine")
  assert [{"step": x["step"], **x["values"]} for x in lines] == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_the_command_of_a_service_runs(name, tmp_path, monkeypatch):
  if not importlib.util.find_spec(name):
    pytest.skip(f"pip install 'jaxvision[{name}]'")
  monkeypatch.chdir(tmp_path)
  [line] = [line for line in _LINES if f"runs/{name} " in line]
  assert "the tracker" not in _run(line, tmp_path)
  found = json.loads((tmp_path / f"runs/{name}/trackers.json").read_text())
  (entry,) = found.values()
  lines = metrics_log.read_metrics(tmp_path / "runs" / name)
  assert (entry["sent"], entry["status"]) == (len(lines), "finished")


def test_the_page_states_the_limits_and_names():
  plain = " ".join(_TEXT.split())
  ends = delivery._END_SECONDS, delivery._PREEMPTED_SECONDS
  assert (
    "at most {:.0f} seconds, or {:.0f} seconds after".format(*ends) in plain
  )
  assert f"server for at most {wandb_runs._SECONDS:.0f} seconds" in plain
  assert f"up to {delivery._CHUNK} if the tracker lags" in plain
  for name in trackers.TRACKERS:
    assert f"| `{name}` |" in _TEXT
