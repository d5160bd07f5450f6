"""Pusher: publishes what was blessed as a new version, all at once."""
