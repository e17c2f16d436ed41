"""The package jaxvision: its dependencies and its parts."""

import pathlib

import setuptools

setuptools.setup(
  name="jaxvision",
  version="0.1.0",
  description="Image classification research in JAX: every model a config.",
  long_description=pathlib.Path("README.md").read_text("utf-8"),
  long_description_content_type="text/markdown",
  license="Apache-2.0",
  python_requires=">=3.11",
  # configs/ is installed as jaxvision.configs, so that recipes kept anywhere
  # can start from the documented defaults.
  packages=[
    *setuptools.find_packages(include=["jaxvision", "jaxvision.*"]),
    "jaxvision.configs",
  ],
  package_dir={"jaxvision": "jaxvision", "jaxvision.configs": "configs"},
  package_data={
    "jaxvision.report": ["*.js"],
    "jaxvision.weights": ["imagenet_1k.txt", "published.csv"],
  },
  entry_points={"console_scripts": ["jaxvision = jaxvision.cli:main"]},
  # Lower bounds are versions that the tests were run with.
  install_requires=[
    "absl-py>=2.1",
    "array-record>=0.8.3",
    # Its file of Chart.js draws the charts of reports.
    "chartkick>=1.2.0",
    "cloudpickle>=3.0",
    "flatbuffers>=24.3.25",
    "flax>=0.12.7",
    "jax>=0.10.0",
    "matplotlib>=3.10.7",
    "ml-collections>=1.1",
    "numpy>=2.0",
    "opencv-python-headless>=4.11",
    "optax>=0.2.8",
    "orbax-checkpoint>=0.12.8",
    "pillow>=11.3",
    "requests>=2.32.3",
    "rich>=13.9",
    "scikit-learn>=1.6",
    "scipy>=1.13.1",
    "shtab>=1.13",
    "simplejpeg>=1.8.2",
    "tensorboardX>=2.6.2.2",
    "tensorflow-datasets>=4.9.10",
  ],
  extras_require={
    # For addresses of the Hugging Face Hub.
    "hub": ["huggingface-hub>=0.30.2"],
    # For `jaxvision score --stem`.
    "text": ["nltk>=3.10.4"],
    # For vocabularies of SentencePiece files, see docs/captioning.md.
    "sentencepiece": ["sentencepiece>=0.2"],
    # For sweeps; with the second, by workers of many machines.
    "sweep": ["optuna>=5.0"],
    "postgres": ["psycopg2-binary>=2.9.10"],
    # For `jaxvision plan --topology v5e:4x4`: the compiler, in jax's version.
    "tpu-plan": ["jax[tpu]>=0.10.0"],
    # For log.trackers, see docs/trackers.md.
    "wandb": ["wandb>=0.31"],
    "mlflow": ["mlflow>=3.17.2"],
    # For `jaxvision launch ray`. Its JaxTrainer is alpha: it changes.
    "ray": ["ray[train]>=2.60,<2.61"],
    # For the pages of the documentation, `make docs`.
    "docs": [
      "mkdocs>=1.6.1,<2",
      "mkdocs-material>=9.8.1",
      "mkdocstrings-python>=2.0.11",
    ],
    "test": [
      "fonttools>=4.68",
      "optuna>=5.0",
      "psycopg2-binary>=2.9.10",
      "pytest>=9.0",
      "pytest-xdist>=3.6",
      "ruff>=0.14",
      "setuptools>=77",
    ],
  },
)
