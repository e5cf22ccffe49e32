"""The experiments: each one measures from kept predictions and writes one results file."""
