"""The commands of the section "The best checkpoint" of docs/running.md."""

import json
import pathlib
import re
import shlex

import pytest
import spawned

from jaxvision import cli

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "running.md").read_text("utf-8")
# A training that is short enough for a test.
SMALL = (
  *("--config.train.duration=24 steps", "--config.evaluate.every=8 steps"),
  "--config.model.options={'hidden': (8,)}",
  # The rate is so large that the loss grows.
  *("--config.optimizer.learning_rate=10.0", "--config.schedule.name=constant"),
  "--config.log.tensorboard=False",
)


@pytest.mark.slow
def test_the_commands_run(tmp_path, monkeypatch, capsys):
  monkeypatch.setenv("TFDS_DATA_DIR", spawned.prepared_digits())
  (tmp_path / "configs").symlink_to(ROOT / "configs")
  monkeypatch.chdir(tmp_path)
  section = PAGE.partition("## The best checkpoint")[2]
  found = {}
  for line in re.search(r"```bash\n(.*?)```", section, re.S)[1].splitlines():
    command, *words = shlex.split(line)
    assert command == "jaxvision"
    words += SMALL if "--config" in words else ()
    words += ["--json"] if words[0] == "evaluate" else []
    assert cli.main(words) == 0, f"{line}\n{capsys.readouterr().err}"
    result = json.loads(pathlib.Path("runs/best/result.json").read_text())
    found[line] = result["checkpoint"], capsys.readouterr().out
  (best, _), (_, of_best), (_, of_last), (last, _) = found.values()
  steps = [json.loads(each)["step"] for each in (of_best, of_last)]
  assert best == f"checkpoints/{steps[0]}" and last == f"checkpoints/{steps[1]}"
  assert steps[0] < steps[1] == 24
