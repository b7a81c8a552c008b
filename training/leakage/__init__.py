"""The leakage certificate: what is checked of a trained model before it gets a directory.

:func:`training.leakage.certify.certify` runs the checks; ``docs/leakage.md`` says what each one
means and what it cannot see.
"""
