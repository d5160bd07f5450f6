"""Photographs that look the same, although their bytes differ."""
