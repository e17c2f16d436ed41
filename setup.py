"""The package jaxvision: what it needs, and where its parts lie."""

import setuptools

setuptools.setup(
  name="jaxvision",
  version="0.1.0",
  description="Image classification research in JAX: every model a config.",
  long_description=open("README.md", encoding="utf-8").read(),
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
  entry_points={"console_scripts": ["jaxvision = jaxvision.cli:main"]},
  install_requires=[
    "absl-py",
    "array-record",
    "flax",
    "grain",
    "jax",
    "matplotlib",
    "ml-collections",
    "numpy",
    "opencv-python-headless",
    "optax",
    "orbax-checkpoint",
    "pillow",
    "rich",
    "scikit-learn",
    "tensorboardX",
    "tensorflow-datasets",
  ],
  extras_require={
    "test": ["pytest", "pytest-xdist", "ruff", "setuptools"],
  },
)
