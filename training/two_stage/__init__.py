"""Trains several models and the network that ranks what they find."""
