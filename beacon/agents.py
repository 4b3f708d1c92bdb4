"""User agents in the four classes of `schemas.events`: who is a visitor, who a crawler."""

import functools
import re

from crawleruseragents import is_crawler

from schemas.events import UserAgentClass

# The app's own browser carries shoppers; only these two are Pinterest's crawlers.
_IN_APP = re.compile(r"\[Pinterest/(?:iOS|Android)\]")
_CRAWLER = re.compile(r"\bPinterestbot/|\bPinterest/0\.", re.IGNORECASE)
# A text is looked through for hundreds of names: a longer one costs more, and says no more.
_MAX_LENGTH = 256


def user_agent_class(user_agent: str) -> UserAgentClass:
    """The class of a `User-Agent` header; a missing one is a bot."""
    return _classify(user_agent[:_MAX_LENGTH])


@functools.lru_cache(maxsize=4096)
def _classify(user_agent: str) -> UserAgentClass:
    # A browser's takes some 0.1 ms, the worst text of this length 1 ms: hence once a distinct one.
    if _IN_APP.search(user_agent):
        return "pinterest_inapp"
    if _CRAWLER.search(user_agent):
        return "pinterestbot"
    if not user_agent.strip() or is_crawler(user_agent):
        return "bot"
    return "human"
