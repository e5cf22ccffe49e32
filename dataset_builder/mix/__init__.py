"""Builds the training mix of the small model: annotated sets and Pile-NER passages in one row format.

:mod:`sources` and :mod:`further` list the sets, :mod:`origins` says where their files come from,
:mod:`labels` gives their labels natural names, :mod:`filters` removes what is no entity, :mod:`nesting` makes
mentions flat, :mod:`detokenize` renders tokens as text with exact offsets, :mod:`pile` cuts passages,
:mod:`negatives` finds types that are reliably absent, :mod:`open_part` adds passages with open types,
:mod:`build` puts it together, :mod:`write` writes it, :mod:`built` reads it.

A row of ``train.jsonl.gz``::

    {"id": "gner_ncbi-12", "source": "gner_ncbi", "text": "...",
     "entities": [{"type": "disease", "text": "...", "start": 4, "end": 9}, ...],
     "negatives": "closed", "exhaustive": true}

``entities`` are sorted and do not overlap, ``text[start:end]`` is the mention. A mention with several types
has the others under ``also``; they are no negatives for it. ``negatives`` is ``"closed"`` where every type
of the source's inventory (``types`` in ``sources.json``) that is not annotated is absent, and ``"listed"``
where only those under the row's ``types`` are. With ``exhaustive`` false, unmarked words may be mentions of
the annotated types too.

Rows of the sources ``open_...`` have ``levels`` beside ``type``: the names of the mention from the finest,
which is the type, to the most general. Their ``types`` are absent names, of which up to 16 are near to
present ones. In rows of nested sets a type whose mentions overlap others may be hidden: it is not marked, and
it is no negative; such rows list their absent types.

``sources.json`` has for each source its inventory ``types``; ``coarse``, a coarser name for some of them
(asking "person" covers "athlete" where that is its coarse name); ``related``, types that may name the same
thing in other rows of the source and are no negatives for each other; and ``weight``, how often a row is
drawn relative to others.
"""
