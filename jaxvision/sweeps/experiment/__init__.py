"""The question of a sweep: its space, its objective, its searcher."""

__all__ = ["axes", "experiment", "objective", "pruning", "searchers", "space"]
