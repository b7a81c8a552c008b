"""Searches the settings of models, each with the same budget, on a slice of training sessions."""
