"""A Hub on this machine: the part of the Hugging Face Hub's interface that its client library calls."""
