"""The benchmark of kills follows its plan and detects any difference.

The complete benchmark, with two processes and two kills, is a slow test.
"""

import collections
import json

import experiment_scripts
import pytest


@pytest.fixture(scope="module")
def script():
  return experiment_scripts.load("benchmarks/kill.py")


def test_a_plan_is_of_its_seed_and_has_every_phase_equally_often(script):
  kills = script.plan(kills=24, steps=600, seed=0)
  assert kills == script.plan(kills=24, steps=600, seed=0)
  assert kills != script.plan(kills=24, steps=600, seed=1)
  phases = collections.Counter(kill.phase for kill in kills)
  assert phases == dict.fromkeys(script.PHASES, 6)
  steps = [kill.step for kill in kills]
  assert steps == sorted(steps) and steps[0] >= 0 and steps[-1] < 560
  assert {kill.victims for kill in kills} == {(0,), (1,), (0, 1)}
  assert {kill.number.name for kill in kills} == {"SIGKILL", "SIGTERM"}


def _run(folder, steps, *, fingerprint="f", loss=0.5):
  folder.mkdir()
  result = {"fingerprint": fingerprint, "final": {}, "best": 0, "step": 3}
  (folder / "result.json").write_text(json.dumps({**result, "status": "done"}))
  lines = [
    {"step": step, "train/loss": loss, "step_seconds_p50": id(folder)}
    for step in steps
  ]
  (folder / "metrics.jsonl").write_text(
    "".join(json.dumps(line) + "\n" for line in lines)
  )
  return folder


@pytest.mark.parametrize(
  ("steps", "changed"),
  [
    ([1, 3], {}),
    ([1, 2, 2, 3], {}),
    ([1, 2, 3], {"fingerprint": "g"}),
    ([1, 2, 3], {"loss": 0.25}),
  ],
)
def test_a_lost_or_different_step_is_an_error(script, tmp_path, steps, changed):
  whole = _run(tmp_path / "whole", [1, 2, 3])
  script.compare(_run(tmp_path / "same", [1, 2, 3]), whole, steps=3)
  hurt = _run(tmp_path / "hurt", steps, **changed)
  with pytest.raises(RuntimeError, match="not the run that it should be"):
    script.compare(hurt, whole, steps=3)


@pytest.mark.parametrize(
  ("last", "phases"),
  [
    ({"step": 39, "train/loss": 1}, ["starting", "stepping"]),
    ({"step": 40, "train/loss": 1}, ["starting", "stepping", "evaluating"]),
    ({"step": 40, "validation/top1": 1}, ["starting", "stepping"]),
  ],
)
def test_phases_are_recognised_from_files(script, tmp_path, last, phases):
  lines = [{"step": 1, "train/loss": 2}, last]
  text = "".join(json.dumps(line) + "\n" for line in lines)
  (tmp_path / "metrics.jsonl").write_text(text + '{"step": 4')
  found = [name for name, test in script.PHASES.items() if test(tmp_path, 5, 0)]
  assert found == phases
  part = tmp_path / "checkpoints" / "60.orbax-checkpoint-tmp-1"
  part.mkdir(parents=True)
  assert script.PHASES["saving"](tmp_path, 60, 0)
  assert not script.PHASES["saving"](tmp_path, 61, 0)


@pytest.mark.slow
def test_a_run_that_is_killed_twice_is_the_same(script, capsys):
  script.main(["--kills", "2", "--steps", "100", "--seed", "3"])
  kills = script.plan(kills=2, steps=100, seed=3)
  _, _, *rows = capsys.readouterr().out.partition("\n\n")[0].splitlines()
  assert [row.split("|")[1].strip() for row in rows] == [
    kill.phase for kill in kills
  ]
