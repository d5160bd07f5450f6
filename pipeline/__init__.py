"""Configuration, wiring of the graph, runners, and the command line."""
