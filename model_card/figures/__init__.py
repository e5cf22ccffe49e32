"""Tables and plots, each drawn from results files only."""
