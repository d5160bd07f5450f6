"""What is measured against peers: `python -m benchmarks` runs all, `python -m benchmarks.NAME` runs one."""
