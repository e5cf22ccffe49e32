"""Passages with open types: anybody's words for what a mention is, from the finest name to the most general.

:mod:`passage` is the form of a passage, :mod:`written` reads and renders passages written for this project,
:mod:`cutting` cuts long ones into windows, :mod:`absent` draws type names that a passage does not hold.
"""
