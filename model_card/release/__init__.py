"""The release: every artefact assembled, checked, compared with the Hub and uploaded."""

VERSION = "1.0.0"
