"""User-defined code: copied, located, and run only with consent."""

import json
import pathlib
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tiny_runs

from jaxvision import cli, data, inference, models, sweeps, training, user_code
from jaxvision import config as configs
from jaxvision.training import setup

_MODEL = """
import dataclasses
import flax.linen as nn
import jax.numpy
import parts
from shapes.flat import flat
from os import system
from parts import Body as Reexported

class Net(nn.Module):
  num_classes: int
  width: int = 4
  @nn.compact
  def __call__(self, images, *, train):
    import later
    x = parts.Body(later.times(self.width))(flat(images))
    return nn.Dense(self.num_classes, name="head")(x)

def create(num_classes, width=4):
  return Net(num_classes, width)
"""
_FILES = {
  "my_model.py": _MODEL,
  "parts.py": """
    import flax.linen as nn
    class Body(nn.Module):
      width: int
      @nn.compact
      def __call__(self, x):
        return nn.relu(nn.Dense(self.width)(x))
  """,
  "later.py": "def times(n):\n  return 2 * n\n",
  "shapes/__init__.py": "",
  "shapes/flat.py": """
    from . import more
    def flat(x):
      return more.reshape(x)
  """,
  "shapes/more.py": "def reshape(x):\n  return x.reshape(x.shape[0], -1)\n",
  "unrelated.py": "raise ValueError('nobody imports this')\n",
  "my_aug.py": """
    import later
    import numpy as np
    def random_invert(p=0.5):
      def transform(rng, image):
        return 255 - image if rng.random() < p else image
      return transform
    def wrong():
      return lambda rng, image: image / 2.0
  """,
}


def _write(folder, files=None):
  for name, body in (files or _FILES).items():
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(body))


@pytest.fixture
def account(tmp_path, monkeypatch):
  """Gives become(name), which switches to an account without trusted code."""

  def become(name):
    monkeypatch.setenv("JAXVISION_CACHE", str(tmp_path / "accounts" / name))

  become("me")
  return become


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """A run of a user-defined model; the original files are removed."""
  folder = tmp_path_factory.mktemp("trained")
  _write(folder)
  tiny_runs.write_data(folder)
  tiny_runs.load_config(folder)
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("JAXVISION_CACHE", str(folder / "cache"))
    training.train(
      str(folder / "recipe.py"),
      workdir=folder / "run",
      overrides={
        "model.name": "my_model.py:create",
        "model.options": {"width": 3},
        "data.train_transforms": ("my_aug.py:random_invert(p=0.5)",),
        "train.duration": "2 steps",
        "log.tensorboard": False,
      },
    )
  for name in _FILES:
    (folder / name).unlink()
  return folder


@pytest.fixture
def run(trained, tmp_path, account):
  """A copy of the run, for an account that does not trust its code."""
  shutil.copytree(trained / "run", tmp_path / "run")
  shutil.copy(trained / "data.npz", tmp_path)
  return tmp_path / "run"


def _change(run, **keys):
  path = run / "config.json"
  content = json.loads(path.read_text())
  for key, value in keys.items():
    group, name = key.split("__")
    content["config"][group][name] = value
  path.write_text(json.dumps(content))


def test_the_run_keeps_only_the_imported_files(trained):
  found = json.loads((trained / "run" / "config.json").read_text())["code"]
  names = {"my_model.py", "parts.py", "later.py"}
  names |= {"shapes/__init__.py", "shapes/flat.py", "shapes/more.py"}
  assert set(found["my_model.py"]["files"]) == names
  assert set(found["my_aug.py"]["files"]) == {"my_aug.py", "later.py"}
  for each in found.values():
    for name in each["files"]:
      copied = trained / "run" / each["folder"] / name
      assert copied.read_text() == textwrap.dedent(_FILES[name])


def test_all_commands_use_the_copy_after_consent(run, account, capsys):
  image = run.parent / "image.png"
  from PIL import Image

  Image.new("L", (4, 4)).save(image)
  commands = [
    ["evaluate", "--workdir", str(run), "--split", "validation"],
    ["predict", "--workdir", str(run), str(image)],
    ["export", str(run.parent / "a.jax"), "--workdir", str(run)],
    ["train", "--workdir", str(run)],
  ]
  for words in commands:
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert "was never typed on this account" in error
    assert f"{run}/code/my_" in error and "--trust" in error
  assert cli.main([*commands[0], "--trust"]) == 0
  # After --trust once, the code is on the list of the account.
  listed = (run.parent / "accounts" / "me" / "trusted_code.txt").read_text()
  assert len(listed.splitlines()) == 2
  assert str(run.parent) not in listed and "my_model.py" in listed
  for words in commands:
    assert cli.main(words) == 0, capsys.readouterr().err
  account("someone else")
  assert cli.main(commands[0]) == 2


@pytest.mark.parametrize(
  ("key", "value"),
  [
    ("data__kind", "os:system"),
    ("data__kind", "subprocess:run"),
    ("data__kind", "builtins:eval"),
    ("data__kind", "jaxvision.launch.ray:run_command"),
    ("data__kind", "{folder}/evil.py:load"),
    ("data__kind", "evil:load"),
    ("data__sources", [[1.0, "{folder}/evil.py:load", "x", "train"]]),
    ("data__eval_transforms", ["{folder}/evil.py:load"]),
    ("data__train_transforms", ["random_apply('{folder}/evil.py:load',p=1)"]),
    ("data__eval_transforms", ["random_apply('{folder}/ev' 'il.py:load',p=1)"]),
    (
      "data__eval_transforms",
      ["random_apply('{folder}/evil\\x2epy:load',p=1)"],
    ),
    ("data__device_transforms", ["{folder}/evil.py:load(1)"]),
    ("model__name", "{folder}/evil.py:load"),
    ("model__name", "os:system"),
    ("model__options", {"activation": "{folder}/evil.py:load"}),
    ("model__options", {"a": [{"b": "{folder}/evil.py:load"}]}),
    ("loss__name", "{folder}/evil.py:load"),
    ("optimizer__name", "{folder}/evil.py:load"),
    ("schedule__name", "{folder}/evil.py:load"),
    ("evaluate__probes", ["pixels/{folder}/evil.py:load(1)"]),
    ("evaluate__suites", ["{folder}/evil.py:load(1)"]),
  ],
)
def test_no_name_in_a_folder_runs_code(run, key, value, monkeypatch, capsys):
  folder = run.parent
  mark = folder / "evil was here"
  (folder / "evil.py").write_text(
    f"open({str(mark)!r}, 'w').close()\ndef load(*a, **k): pass\n"
  )
  monkeypatch.syspath_prepend(str(folder))
  text = json.dumps(value).replace("{folder}", str(folder))
  _change(run, data__name=f"touch '{mark}'", **{key: json.loads(text)})
  with user_code.trusting():  # the code of the run
    user_code.read_copies(
      run, json.loads((run / "config.json").read_text())["code"]
    )
  for words in (
    ["evaluate", "--split", "validation"],
    ["train"],
  ):
    assert cli.main([*words, "--workdir", str(run)]) == 2
    error = capsys.readouterr().err
    assert (
      "not your own" in error or "never typed" in error or "no file" in error
    )
  assert not mark.exists()
  assert cli.main(["evaluate", "--workdir", str(run), "--trust"]) in (1, 2)
  if "evil" not in text:  # A module of Python is refused in any case.
    assert not mark.exists()


def test_a_copy_that_was_changed_is_refused(run, capsys):
  path = run / "code" / "my_model" / "parts.py"
  path.write_text(path.read_text() + "# changed\n")
  words = ["evaluate", "--workdir", str(run), "--trust"]
  assert cli.main(words) == 2
  assert (
    f"{path} differs from the code that was copied" in capsys.readouterr().err
  )
  path.unlink()
  assert cli.main(words) == 2
  assert str(path) in capsys.readouterr().err


@pytest.mark.parametrize("where", ["../..", "/etc"])
def test_a_record_cannot_name_files_outside_the_run(run, where, capsys):
  path = run / "config.json"
  content = json.loads(path.read_text())
  content["code"]["my_model.py"]["folder"] = where
  path.write_text(json.dumps(content))
  assert cli.main(["evaluate", "--workdir", str(run), "--trust"]) == 2
  assert "outside of that folder" in capsys.readouterr().err
  content["code"] = {"my_model.py": {"folder": 3}}
  path.write_text(json.dumps(content))
  assert cli.main(["evaluate", "--workdir", str(run), "--trust"]) == 2
  assert "is damaged" in capsys.readouterr().err


def test_a_changed_original_gives_a_warning_and_the_copy_is_used(
  tmp_path, account, caplog
):
  _write(tmp_path)
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  values = {"model.name": "my_model.py:create", "train.duration": "1 steps"}
  values["model.options"] = {}
  arguments = (str(tmp_path / "recipe.py"), values)
  training.train(arguments[0], workdir=tmp_path / "run", overrides=values)
  (tmp_path / "later.py").write_text("def times(n):\n  return 3 * n\n")
  found = training.train(
    arguments[0], workdir=tmp_path / "run", overrides=values
  )
  assert "has changed since it was copied; the copy is used" in caplog.text
  loaded = inference.load_run(tmp_path / "run")
  assert loaded.variables["params"]["Body_0"]["Dense_0"]["kernel"].shape[1] == 8
  assert found["status"] == "finished"
  # In the same process a new run has the new code.
  new = configs.load(*arguments)
  with_new = models.create(new.model.name, num_classes=3)
  assert with_new.lazy_init is not None
  code = user_code.used(new.to_dict())["my_model.py"]
  assert b"3 * n" in code.files["later.py"]


def test_paths_start_in_the_folder_of_the_recipe_or_here(
  tmp_path, account, monkeypatch
):
  (tmp_path / "here").mkdir()
  monkeypatch.chdir(tmp_path / "here")
  _write(tmp_path)
  tiny_runs.load_config(tmp_path)
  values = {"model.name": "my_model.py:create"}
  arguments = ("../recipe.py", values)
  assert "my_model.py" in user_code.used(configs.load(*arguments).to_dict())
  _write(tmp_path / "here")
  configs.load(*arguments)  # the same twice
  (tmp_path / "here" / "my_model.py").write_text("def create(): pass\n")
  with pytest.raises(
    ValueError, match=r"may mean .*which differ; write the full"
  ):
    configs.load(*arguments)
  with pytest.raises(FileNotFoundError, match=r"'model.name': .*no file .*nor"):
    configs.load("../recipe.py", {"model.name": "none.py:create"})


@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("system", "my_model.py does not define 'system' as a function"),
    ("Reexported", "does not define 'Reexported' as"),
    ("dataclasses", "does not define 'dataclasses' as"),
    ("craete", "has no function 'craete'; it has .*did you mean 'create'"),
  ],
)
def test_only_functions_defined_in_the_file_are_called(
  tmp_path, account, name, message
):
  _write(tmp_path)
  with pytest.raises(ValueError, match=message):
    models.create(f"{tmp_path}/my_model.py:{name}", num_classes=3)


@pytest.mark.parametrize(
  ("body", "message"),
  [
    ("def create(num_classes): return 3", "returned int; expected a Linen mo"),
    (
      "def create(num_classes):\n return nn.Dense(3)",
      "must have num_classes=3",
    ),
    ("def create(num_classes): return (", "line 2 is not valid Python"),
    (
      "class N(nn.Module):\n num_classes: int\n def __call__(self): pass\n"
      "def create(num_classes): return N(num_classes)",
      r"N.__call__ does not take `train`; declare it",
    ),
  ],
)
def test_an_object_that_is_not_a_model_is_an_error(
  tmp_path, account, body, message
):
  (tmp_path / "m.py").write_text(f"import flax.linen as nn\n{body}\n")
  with pytest.raises(ValueError, match=message):
    models.create(f"{tmp_path}/m.py:create", num_classes=3)


def test_user_transforms_in_worker_processes(tmp_path, account):
  """Workers import the same code, including the modules beside it."""
  _write(tmp_path)
  tiny_runs.write_data(tmp_path)
  config = tiny_runs.load_config(
    tmp_path, data__train_transforms=("my_aug.py:random_invert(p=0.5)",)
  )
  split = setup.open_splits(config)["train"]
  here, there = (
    data.make_batches(
      split,
      batch_size=8,
      transforms=config.data.train_transforms,
      channels=1,
      seed=0,
      threads=0,
      workers=workers,
    )
    for workers in (0, 1)
  )
  batches = list(there.iterate(0, 2))
  for step, batch in enumerate(batches):
    np.testing.assert_array_equal(batch["image"], here.at(step)["image"])
  plain = data.make_batches(
    split, batch_size=8, channels=1, seed=0, threads=0
  ).at(0)["image"]
  differs = (plain != here.at(0)["image"]).any(axis=(1, 2, 3))
  assert 0 < differs.sum() < 8


def test_a_transform_without_an_image_as_result_is_an_error(tmp_path, account):
  _write(tmp_path)
  image = np.zeros((4, 4, 1), np.uint8)
  transform = data.make_host_transform((f"{tmp_path}/my_aug.py:wrong",))
  with pytest.raises(TypeError, match=r"wrong made float64.*of uint8\(4, 4, 1"):
    transform(None, image)


def test_many_processes_write_one_list(tmp_path, account):
  code = textwrap.dedent("""
    import sys
    from jaxvision import user_code
    for i in range(5):
      path = f"{sys.argv[1]}/{sys.argv[2]}_{i}.py"
      open(path, "w").write(f"x = '{sys.argv[2]} {i}'")
      user_code.allow(user_code.open_file(path))
  """)
  crew = [
    subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(n)])
    for n in range(3)
  ]
  assert [each.wait() for each in crew] == [0, 0, 0]
  path = pathlib.Path(tmp_path / "accounts" / "me" / "trusted_code.txt")
  lines = path.read_text().splitlines()
  assert len({line.split()[0] for line in lines}) == len(lines) == 15
  assert path.stat().st_mode & 0o077 == 0


def test_a_sweep_that_names_a_recipe_needs_consent(tmp_path, account, capsys):
  mark = tmp_path / "evil was here"
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  recipe = tmp_path / "recipe.py"
  recipe.write_text(
    recipe.read_text() + f"\nopen({str(mark)!r}, 'w').close()\n"
  )
  sweep = tmp_path / "sweep"
  (sweep / "trials" / "0000").mkdir(parents=True)
  (sweep / "sweep.json").write_text(
    json.dumps(
      {
        "question": "?",
        "read": "!",
        "study": "sweep",
        "searcher": "grid",
        "space": {},
        "draws": 1,
        "seed": 0,
        "trials": 1,
        "recipe": str(recipe),
        "overrides": {},
        "objective": {
          "metric": "validation/top1",
          "goal": "maximize",
          "at": "last",
        },
      }
    )
  )
  trial = {"number": 0, "state": "complete", "value": 1.0, "overrides": {}}
  trial |= {"picks": {}, "settings": {}, "reason": "", "attempt": 1}
  trial |= {"worker": "host 1"}
  (sweep / "trials" / "0000" / "trial.json").write_text(json.dumps(trial))
  words = ["sweep", "--rerun", str(sweep), "--seeds=1", "--dry-run"]
  assert cli.main(words) == 2
  assert f"{sweep} names code that was never" in capsys.readouterr().err
  assert not mark.exists()
  assert cli.main([*words, "--trust"]) == 0
  assert mark.exists()


def test_features_of_a_data_set_name_no_module_to_import(tmp_path, account):
  from jaxvision.data.sources import tfds

  path = tmp_path / "features.json"
  good = "tensorflow_datasets.core.features.features_dict.FeaturesDict"
  inner = {"features": {"x": {"pythonClassName": "os.system"}}}
  path.write_text(json.dumps({"pythonClassName": good}))
  tfds._check_classes(path)
  path.write_text(json.dumps({"pythonClassName": good, "featuresDict": inner}))
  with pytest.raises(ValueError, match=r"class 'os\.system', whose module"):
    tfds._check_classes(path)


@pytest.mark.slow
def test_a_sweep_keeps_the_code_that_it_began_with(tmp_path, account, caplog):
  _write(tmp_path)
  tiny_runs.write_data(tmp_path)
  tiny_runs.load_config(tmp_path)
  (tmp_path / "asked.py").write_text(
    textwrap.dedent(f"""
      from jaxvision import sweep
      QUESTION, READ = "?", "!"
      BASE = {str(tmp_path / "recipe.py")!r}
      OVERRIDES = {{"model.options": {{}}}}
      SPACE = {{
        "model.name": sweep.grid("my_model.py:create", "linear"),
        "optimizer.learning_rate": sweep.grid(0.1),
      }}
      OBJECTIVE = sweep.maximize("validation/top1")
    """)
  )

  def opened():
    return sweeps.open_sweep(
      tmp_path / "sweep",
      sweeps.load(tmp_path / "asked.py"),
      file="asked.py",
      searcher="grid",
      draws=1,
      seed=0,
      storage="",
      grace=60,
    )

  first = opened().experiment.copies
  assert set(first) == {str(tmp_path / "recipe.py"), "my_model.py"}
  (tmp_path / "later.py").write_text("def times(n):\n  return 3 * n\n")
  again = opened().experiment.copies
  assert "my_model.py has changed since the start of the sweep" in caplog.text
  assert again["my_model.py"].files == first["my_model.py"].files
  # A trial, run as by a worker, uses the copy.
  training.train(
    str(tmp_path / "recipe.py"),
    workdir=tmp_path / "trial",
    overrides={
      "model.name": "my_model.py:create",
      "model.options": {},
      "train.duration": "1 steps",
    },
    copies=again,
  )
  copied = tmp_path / "trial" / "code" / "my_model" / "later.py"
  assert "2 * n" in copied.read_text()


@pytest.mark.slow
def test_code_that_a_free_key_adds_later_is_copied_too(
  run, account, monkeypatch, capsys
):
  """Typing a reference is consent, although the other code needs it."""
  monkeypatch.chdir(run.parent)
  (run.parent / "my_model.py").write_text(
    "def probe():\n  return lambda *_: {'top1': 0.25}\n"
  )
  (run.parent / "my_probe.py").write_text(
    "def probe():\n  return lambda *_: {'top1': 0.5}\n"
  )
  words = ["train", "--workdir", str(run), "--extend", "3 steps"]
  values = ["my_probe.py:probe()", f"{run.parent}/my_model.py:probe"]
  words += [f"--config.evaluate.probes={tuple(values)!r}"]
  assert cli.main(words) == 2  # the model of the run
  assert cli.main([*words, "--trust"]) == 0, capsys.readouterr().err
  saved = json.loads((run / "config.json").read_text())
  assert saved["config"]["evaluate"]["probes"] == values
  folders = {each["folder"] for each in saved["code"].values()}
  assert len(folders) == len(saved["code"]) == 4
  for name in ("my_probe.py", "my_model.py"):
    (run.parent / name).unlink()
  last = (run / "metrics.jsonl").read_text().splitlines()[-1]
  assert f'{run.parent}/my_model.py:probe/top1": 0.25' in last
  words = ["evaluate", "--workdir", str(run), "--split", "validation"]
  assert cli.main(words) == 0, capsys.readouterr().err
