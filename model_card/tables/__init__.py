"""Tables and sentences of the card, each drawn from one results file."""
