"""Evaluator: TFMA's figures of the candidate and of the frozen-only baseline."""
