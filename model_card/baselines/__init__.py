"""Systems to be held against: UniNER and models of its kind, GLiNER. Same benchmarks, same results format."""
