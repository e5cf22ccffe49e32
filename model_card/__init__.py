"""The evidence behind the model card: benchmarks, baselines, experiments and figures."""
