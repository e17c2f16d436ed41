"""A search of architectures: small trainings of many children, then the best.

The first stage has a sweep for each searcher and each seed of the search. Its
trials are children, networks that are trained shortly. The second stage, the
sweep in `final/`, trains a few networks at full size.
"""

__all__ = ["children", "definition", "final", "folder", "recipes", "running"]
