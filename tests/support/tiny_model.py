"""A random Llama small enough to train in a test: real files on disk, no download.

Not covered: a model that has learned anything; its text is noise, which is what reward code must survive anyway.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

PAD = "<|endoftext|>"
START = "<|im_start|>"
END = "<|im_end|>"
VOCABULARY_SIZE = 400

SENTENCES = [
    "SELECT name, age FROM singer WHERE age > 20 ORDER BY age DESC LIMIT 3;",
    "SELECT T1.city, COUNT(*) FROM stadium AS T1 JOIN concert AS T2 ON T1.id = T2.stadium_id GROUP BY T1.city",
    '{"name": "Ada", "age": 36, "tags": ["mathematician", "writer"], "active": true, "address": null}',
    '{"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}',
    "Natalia sold 48 clips in April and half as many in May. The answer is \\boxed{72}.",
    "Return the JSON object that matches the schema, and answer with one SQL query for the question.",
    "system user assistant\nYou are a helpful assistant.\n",
]

# ChatML, as Qwen and SmolLM write it.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def build_tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE trained on a few SQL, JSON and English sentences: every string has a tokenization."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[START],
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def build_tiny_model(directory: Path) -> Path:
    """Writes a seeded random two-layer Llama and its tokenizer to ``directory`` and returns that path."""
    tokenizer = build_tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    # A fixture must not move the caller's random stream.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    directory.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def widen(model: Any, scale: float = 0.2) -> Any:
    """Redraws a model's matrices in place: fresh ones leave every token equally probable."""
    random = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data = torch.randn(parameter.shape, generator=random).mul(scale).to(parameter.dtype)
    return model


def build_tagging_model(directory: Path, tags: Sequence[str]) -> Path:
    """As ``build_tiny_model``, but each of ``tags`` (``<step>``, ``</step>``) is a token that it draws often.

    Every second token or so is one of them: episodes of noise with several turns.
    """
    tokenizer = build_tiny_tokenizer()
    tokenizer.add_tokens([AddedToken(tag, normalized=False) for tag in tags])
    model = LlamaForCausalLM.from_pretrained(
        build_tiny_model(directory), tie_word_embeddings=False, vocab_size=VOCABULARY_SIZE
    )
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    often = tokenizer.convert_tokens_to_ids(list(tags))
    with torch.no_grad():
        # One dimension of the stream is the same for all tokens and outweighs the others: a bias of the head.
        model.get_input_embeddings().weight[:, 0] = 10.0
        model.lm_head.weight[:, 0] = 0.0
        model.lm_head.weight[often, 0] = math.log(len(tokenizer) / len(often)) / model.config.hidden_size**0.5
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory
