"""The known scorers by name, and how they are made from a configuration.

validity
{name: probability, total: true}
{name: combined, how: product, scorers: [validity, probability]}
"""

from collections.abc import Callable, Mapping
from typing import Any

from decoding.search.scorers.agreement import Agreement
from decoding.search.scorers.combined import Combined
from decoding.search.scorers.grammar_mass import GrammarMass
from decoding.search.scorers.judgement import Judgement
from decoding.search.scorers.probability import Probability
from decoding.search.scorers.process_reward import ProcessReward
from decoding.search.scorers.validity import Validity
from decoding.search.strategy import Scorer
from envs.errors import ConfigurationError
from envs.options import construct

SCORERS: dict[str, Callable[..., Scorer]] = {
    "agreement": Agreement,
    "combined": Combined,
    "grammar_mass": GrammarMass,
    "judgement": Judgement,
    "probability": Probability,
    "process_reward": ProcessReward,
    "validity": Validity,
}


def make_scorer(given: "str | Mapping[str, Any] | Scorer") -> Scorer:
    """The scorer that a configuration names.

    Args:
        given: a name; a mapping with a ``name`` and the scorer's options; a scorer, which is returned as it is.

    Raises:
        ConfigurationError: the name or an option is unknown, or an option has no meaning.
    """
    if isinstance(given, str):
        given = {"name": given}
    if not isinstance(given, Mapping):
        if callable(getattr(given, "score", None)) and not isinstance(given, type):
            return given
        raise ConfigurationError(
            f"scorer is {given!r}; expected the name of one ({', '.join(SCORERS)}), or a mapping with its name and its"
            " options"
        )
    options = {str(option): value for option, value in given.items() if option != "name"}
    name = given.get("name")
    if not isinstance(name, str):
        raise ConfigurationError(f"scorer {dict(given)!r} has no name; known: {', '.join(SCORERS)}")
    if name == "combined" and isinstance(options.get("scorers"), (list, tuple)):
        options["scorers"] = [make_scorer(one) for one in options["scorers"]]
    return construct("scorer", name, SCORERS, options)
