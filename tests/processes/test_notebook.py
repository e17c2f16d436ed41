"""Tests of jaxvision.processes.notebook in a kernel of Jupyter."""

import contextlib
import json
import pathlib
import re

import pytest

from jaxvision.processes import notebook

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "notebooks.md"


def test_a_plain_process_is_no_notebook():
  assert not notebook.is_running()


@pytest.fixture(scope="module")
def kernel():
  """The client of a kernel; needs jupyter_client and ipykernel."""
  client = pytest.importorskip("jupyter_client")
  pytest.importorskip("ipykernel")
  manager, started = client.manager.start_new_kernel(kernel_name="python3")
  with contextlib.closing(_Cells(manager, started)) as cells:
    yield cells


class _Cells:
  """Runs cells and collects their messages."""

  def __init__(self, manager, client):
    self._manager, self._client, self._cell = manager, client, ""

  def start(self, code):
    self._cell = self._client.execute(code)

  def messages(self, until=lambda kind, content: False):
    """The messages of the running cell: to its end, or to one of them."""
    found = []
    while True:
      message = self._client.get_iopub_msg(timeout=120)
      if message["parent_header"].get("msg_id") != self._cell:
        continue
      kind, content = message["msg_type"], message["content"]
      found.append((kind, content))
      if kind == "status" and content["execution_state"] == "idle":
        return found
      if until(kind, content):
        return found

  def interrupt(self):
    self._manager.interrupt_kernel()

  def close(self):
    self._client.stop_channels()
    self._manager.shutdown_kernel(now=True)


def _train(folder, epochs=2):
  """The cell of the page, with another folder and number of epochs."""
  (cell,) = re.findall(
    r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL
  )
  for old, new in (
    ("runs/notebook", str(folder)),
    ("2 epochs", f"{epochs} epochs"),
  ):
    assert cell.count(old) == 1
    cell = cell.replace(old, new)
  return cell + "print(result['status'])"


def _html(found, kind):
  return [
    content["data"].get("text/html", "")
    for name, content in found
    if name == kind
  ]


def _printed(found):
  return "".join(c["text"] for name, c in found if name == "stream")


@pytest.mark.slow
def test_a_cell_shows_a_line_and_the_report(kernel, tmp_path):
  kernel.start(_train(tmp_path / "run"))
  found = kernel.messages()
  lines = _html(found, "update_display_data")
  assert "compiling" in lines[0] and "train/loss" in lines[-1]
  assert 'value="' in lines[-1] and len(lines) >= 3
  printed = _printed(found)
  assert "validation/top1" in printed and "finished" in printed
  assert "train/loss" not in printed
  page = _html(found, "display_data")[-1]
  assert page.startswith("<iframe") and "&lt;!doctype html&gt;" in page.lower()
  # A finished run is read, and its report is shown again.
  kernel.start(_train(tmp_path / "run"))
  assert _html(kernel.messages(), "display_data")[-1] == page


@pytest.mark.slow
def test_an_interrupted_cell_saves_and_resumes(kernel, tmp_path):
  folder = tmp_path / "run"
  kernel.start(_train(folder, 20_000))
  kernel.messages(
    lambda kind, content: (
      kind == "update_display_data"
      and "train/loss" in content["data"]["text/html"]
    )
  )
  kernel.interrupt()
  errors = [c for name, c in kernel.messages() if name == "error"]
  assert [each["ename"] for each in errors] == ["Preempted"]
  stopped = json.loads((folder / "result.json").read_text("utf-8"))
  assert stopped["status"].startswith("preempted") and stopped["step"] > 0
  kernel.start(_train(folder, 20_000))
  found = kernel.messages(
    lambda kind, content: (
      kind == "update_display_data"
      and "train/loss" in content["data"]["text/html"]
    )
  )
  first = _html(found, "update_display_data")[0]
  assert f"step {stopped['step']}/" in first
  kernel.interrupt()
  kernel.messages()
