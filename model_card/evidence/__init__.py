"""How a model is scored: predictions, scores, intervals, calibration, and the results files."""
