"""Rolling windows: train up to a window of time, score the next one, go on from there.

Protocol of Moreira et al., "Transformers4Rec: bridging the gap between NLP and sequential /
session-based recommendation" (RecSys 2021). :mod:`training.rolling.windows` cuts a timed log,
:mod:`training.rolling.job` trains and scores window by window, :mod:`training.rolling.report`
averages.
"""
