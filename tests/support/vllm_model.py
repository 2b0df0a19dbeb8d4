"""A random model that vLLM can run, with transformers as its reference."""

from pathlib import Path

from tiny_model import PAD, build_tiny_tokenizer, widen
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM


def build_vllm_model(folder: Path) -> Path:
    """Writes a model to ``folder`` and returns that path.

    Its heads have 32 channels, the fewest that vLLM's kernels take; two tokens end a text; its generation settings hold
    a top-k, by which vLLM would sample if it were let.
    """
    tokenizer = build_tiny_tokenizer()
    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(PAD)]
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        eos_token_id=ends,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    model = widen(LlamaForCausalLM(config))
    model.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=0, top_k=3, do_sample=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
