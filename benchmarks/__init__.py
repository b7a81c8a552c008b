"""Every figure in the README comes from one command here."""
