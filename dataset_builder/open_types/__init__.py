"""Passages with open types: anybody's words for what a mention is, from the finest name to the most general.

:mod:`passage` is the form of a passage. :mod:`written` reads and renders the passages of ``written/``, which
were made for this project. ``layers/`` holds labels of public texts without the texts: :mod:`layers` joins
them with what :mod:`texts` reads, and :mod:`align` made them. :mod:`cutting` cuts long passages into windows,
:mod:`absent` draws type names that a passage does not hold, :mod:`dataset` writes the published data set.
"""
