"""A generated shop that a person would believe, and the exact limit of what can be predicted.

The generative model is a hidden Markov model over shopping intents whose emissions may read the
observed history; `docs/generated-shop.md` describes it in one page.

- ``config``: the settings, fixed before a model was seen on them
- ``vocabulary``, ``catalog``: products with readable names
- ``world``: every probability table, a function of the config alone
- ``history``: what the next step may read of the past, and the shares that depend on it
- ``visits``: samples visits; ``clock``: when they begin; ``clickstream``: rows of a log
- ``files``: Parquet and ``shop.json``
- ``forward``, ``ceiling``: the exact predictive distribution and its hit rate
"""
