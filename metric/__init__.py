"""Metrics that are published alone on the Hub: one folder each, knowing no other folder of the repository."""
