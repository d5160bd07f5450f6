"""Pages about runs: the gate's report with the run's facts, two runs side by side, and a browser to print them."""
