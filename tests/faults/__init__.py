"""Every fault and bad input, provoked one by one: the tests, and the table of what a user sees.

python -m tests.faults --output model_card/results/faults.json
"""
