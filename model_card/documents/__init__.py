"""Ordinary documents, written for this project, on which the recogniser of open types is measured."""
