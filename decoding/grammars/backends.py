"""The back ends by name."""

from collections.abc import Callable, Mapping

from decoding.grammars.backend import Backend
from decoding.grammars.llguidance_backend import LlguidanceBackend
from decoding.grammars.vocabulary import Vocabulary
from decoding.grammars.xgrammar_backend import XgrammarBackend
from envs.errors import ConfigurationError

BACKENDS: Mapping[str, Callable[[Vocabulary], Backend]] = {"llguidance": LlguidanceBackend, "xgrammar": XgrammarBackend}


def backend(name: str, vocabulary: Vocabulary) -> Backend:
    """The back end of that name.

    Raises:
        ConfigurationError: there is none, or its library is not installed.
    """
    if name not in BACKENDS:
        raise ConfigurationError(f"unknown grammar back end '{name}'; there are: {', '.join(BACKENDS)}")
    return BACKENDS[name](vocabulary)
