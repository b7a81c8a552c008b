"""session-rec: what a shopper looks at next, from the session alone.

>>> from session_rec import Recommender            # doctest: +SKIP
>>> Recommender.load("models/demo").recommend(["A12", "B7"], k=5)   # doctest: +SKIP
"""

from session_rec.catalog import Catalog
from session_rec.policy import Policy
from session_rec.ragged import Ragged
from session_rec.recommender import Recommender
from session_rec.sessions import SessionRules
from session_rec.slates import Slates

__all__ = ["Catalog", "Policy", "Ragged", "Recommender", "SessionRules", "Slates"]
