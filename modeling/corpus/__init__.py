"""A corpus annotated on many machines by Ray Data: each document once, whatever dies on the way.

The input is cut into parts by its files alone: row groups of Parquet, ranges of bytes of JSON Lines, so many
documents a part. A part has one name, and its file appears whole or not at all (written aside, then renamed;
an object store shows an object only when it is complete). So the listing of the output folder is the
checkpoint: a part that is there is done, one that is not is missing. A worker that dies, is retried, or goes
on after its driver has died can at worst write the same content to the same name.

Ray Data's own checkpoints (``CheckpointConfig``, Ray 2.60) are not used: they keep every finished id in
memory; a part whose task is retried after its commit and whose driver then dies loses its file while its ids
stay marked as done; and what a worker writes after its driver died comes twice.
"""
