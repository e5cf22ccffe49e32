"""Fuzzing: every target is one property that must hold whatever goes in.

    python -m tests.fuzz --minutes 30 --output model_card/results/fuzz.json --seed 0

A case is a list of whole numbers, from which a target makes its texts, types, bytes and tables. They come
from atheris (bytes, guided by the branches they reach), from hypothesis, or from a list that once failed:
those are kept in ``tests/fuzz/seeds.json`` and tried by every run of the tests.
"""
