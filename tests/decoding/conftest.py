"""The tiny model, with weights wide enough that its distributions depend on every token and position before."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from decoding.models import ModelConfig, load_model, load_tokenizer


@pytest.fixture(scope="session")
def widen() -> Callable[[Any], Any]:
    """Returns a function that redraws a model's matrices in place: fresh ones leave every token equally probable."""

    def redraw(model: Any) -> Any:
        random = torch.Generator().manual_seed(0)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.data = torch.randn(parameter.shape, generator=random).mul(0.2).to(parameter.dtype)
        return model

    return redraw


@pytest.fixture
def model(tiny_model: Path, widen: Callable[[Any], Any]) -> Any:
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
