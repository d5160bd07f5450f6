"""Evaluator: TFMA's comparison of the candidate with the frozen-only baseline, and the verdict in words."""
