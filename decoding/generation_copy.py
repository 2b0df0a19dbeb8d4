"""A second copy of the policy, on a device of its own, that only generates.

While one device holds gradients and optimizer, another can hold the key-value cache of many more rows. The copy takes
over the policy's weights before each batch. Not covered: weights that are divided between processes (ZeRO-3, FSDP).
"""

import copy

import torch
from torch import nn
from transformers import PreTrainedModel

from envs.errors import ConfigurationError


class GenerationCopy:
    """The policy as it is generated from."""

    def __init__(self, device: str) -> None:
        """
        Args:
            device: where the copy lives: ``cuda:1``.

        Raises:
            ConfigurationError: there is no such device here.
        """
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise ConfigurationError(
                f"rollout.device {device!r} cannot be used: {str(error).splitlines()[0]}; give a device that PyTorch"
                " sees here (cuda:1), or leave it out"
            ) from error
        self._device = torch.device(device)
        self._copy: PreTrainedModel | None = None
        self._moving: list[tuple[nn.Parameter, nn.Parameter]] = []

    @torch.no_grad()
    def of(self, policy: PreTrainedModel) -> PreTrainedModel:
        """The copy, with the weights that the policy has now. Those that are never trained are copied once."""
        if self._copy is None:
            self._copy = copy.deepcopy(policy).to(self._device).requires_grad_(False)
            ours = dict(self._copy.named_parameters())
            self._moving = [(ours[name], theirs) for name, theirs in policy.named_parameters() if theirs.requires_grad]
        for mine, theirs in self._moving:
            mine.copy_(theirs)
        return self._copy
