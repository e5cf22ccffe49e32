"""Builds the fine-tuning data: Pile-NER-type as prompt/completion rows, and (``mix``) the small model's mix.

``python -m dataset_builder.build --source FILE --output DIR`` writes the Parquet data set,
``python -m dataset_builder.lengths`` measures its completions, ``python -m dataset_builder.contamination``
compares it with the benchmarks and ``python -m dataset_builder.benchmark`` times the build.
"""
