"""The evidence for a model: what is measured, how it is scored, and the cards that say so.

``python -m model_card --help`` lists the commands. Modules that were commands of their own before run the
command that took their place.
"""

from model_card.moved import install

install()
