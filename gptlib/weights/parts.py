"""The parts of models: one name for each, in every module, and what it was called before.

The names are those of attributes, and so of the keys of a state dict; the notation page lists them. Files and classes
that have the names of before are still understood: what reads weights goes through `fitted`, what looks at a part of
a model through `part`.
"""
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Part(NamedTuple):
    """A name, what it names, and where the same thing had another name before: "module.Class.name" each."""

    name: str
    meaning: str
    before: tuple[str, ...] = ()


PARTS = (
    Part("token_embedding", "a vector for each token of the vocabulary",
         ("transformer.Transformer.embedding", "gpt.GPT.token")),
    Part("position_embedding", "a vector for each position, learned or fixed",
         ("transformer.Transformer.positions", "gpt.GPT.position")),
    Part("segment_embedding", "a vector for each of the texts that a sequence is made of"),
    Part("patch_embedding", "the layer that turns patches of an image into vectors"),
    Part("time_embedding", "a vector for the step of a diffusion"),
    Part("class_token", "a learned vector in front of a sequence; its state stands for the whole"),
    Part("blocks", "the stack, where a model has one"),
    Part("encoder", "the stack, or the model, that reads"),
    Part("decoder", "the stack, or the model, that writes"),
    Part("attention", "attention of a sequence to itself", ("gpt.Block.attend",)),
    Part("cross_attention", "attention to another sequence"),
    Part("query", "makes queries"),
    Part("key", "makes keys"),
    Part("value", "makes values"),
    Part("qkv", "queries, keys and values in one matrix, in this order"),
    Part("output", "the last layer of a part: in an attention, the one after the heads"),
    Part("feed_forward", "the layers that work on each position alone"),
    Part("up", "of the feed-forward layers the first, from D to d_ff",
         ("transformer.FeedForward.inner", "gpt.Block.widen", "gpt2.Block.expand")),
    Part("gate", "of the feed-forward layers the one whose result multiplies that of `up`"),
    Part("down", "of the feed-forward layers the last, from d_ff to D",
         ("transformer.FeedForward.outer", "gpt.Block.narrow", "gpt2.Block.contract")),
    Part("attention_norm", "the norm before, or after, the attention", ("gpt.Block.norm_1", "gpt2.Block.norm_1")),
    Part("cross_attention_norm", "the norm before, or after, the cross-attention"),
    Part("feed_forward_norm", "the norm before, or after, the feed-forward layers",
         ("gpt.Block.norm_2", "gpt2.Block.norm_2")),
    Part("embedding_norm", "the norm of the sum of embeddings"),
    Part("final_norm", "the norm after the last block"),
    Part("encoder_norm", "the norm after the encoder's stack"),
    Part("decoder_norm", "the norm after the decoder's stack"),
    Part("dropout", "sets numbers to 0 at random in training", ("gpt.Block.drop", "gpt.GPT.drop")),
    Part("head", "gives the logits of a language model whose embeddings are not tied"),
    Part("reward_head", "gives the reward of a text"),
    Part("value_head", "gives the value of a state"),
    Part("input_to_hidden", "of a recurrent cell: from its input to all gates (input, forget, cell, output)"),
    Part("hidden_to_hidden", "of a recurrent cell: from its last state to all gates, in the same order"),
    Part("image_encoder", "CLIP's model of images"),
    Part("text_encoder", "CLIP's model of texts"),
    Part("image_projection", "from an image's state to the space that it shares with texts"),
    Part("text_projection", "from a text's state to the space that it shares with images"),
    Part("logit_scale", "the logarithm of what cosines are multiplied by"),
    Part("codebook", "the vectors that an image's codes stand for"),
    Part("mean", "the layer that gives the mean of a latent's distribution"),
    Part("log_variance", "the layer that gives the logarithm of its variance"),
    Part("down_blocks", "of a U-Net: the stack on the way to fewer pixels"),
    Part("middle_block", "of a U-Net: what stands where the pixels are fewest"),
    Part("up_blocks", "of a U-Net: the stack on the way back"),
    Part("prompt_encoder", "SAM's model of points and boxes"),
    Part("mask_tokens", "learned vectors, one for each mask that is proposed"),
    Part("mask_head", "makes masks of the mask tokens' states"),
    Part("quality_head", "estimates how well each mask fits"),
    Part("weight", "of a layer or norm: what it multiplies by"),
    Part("bias", "of a layer or norm: what it adds"),
    Part("model", "of a model that remembers: the model inside"),
    Part("layers", "of a model that remembers: a cache for each block"),
    Part("keys", "of a cache: the keys that it holds"),
    Part("values", "of a cache: the values that it holds"),
)  # fmt: skip

# What is no part, and had another name before.
OTHERS = (
    Part("stored", "how many positions a cache holds", ("kv_cache.LayerCache.filled",)),
    Part("allocate", "makes sure that new positions fit into a cache", ("kv_cache.LayerCache.make_room",)),
)

# Every name of before, and the one of now: "widen": "up".
NOW = {old.rpartition(".")[2]: one.name for one in PARTS + OTHERS for old in one.before}


def before(owner: str) -> dict[str, str]:
    """Map the names that a class had before, such as "gpt.Block", to those of now."""
    pairs = [(old.rpartition("."), one.name) for one in PARTS + OTHERS for old in one.before]
    return {name: new for (place, _, name), new in pairs if place == owner}


def current(name: str) -> str:
    """Give a key of a state dict the names of now: "blocks.0.widen.bias" becomes "blocks.0.up.bias"."""
    return ".".join(NOW.get(word, word) for word in name.split("."))


def renamed(tensors: Mapping[str, T]) -> dict[str, T]:
    """Give all keys of a state dict the names of now."""
    return {current(name): tensor for name, tensor in tensors.items()}


def fitted(tensors: Mapping[str, T], own: Collection[str]) -> dict[str, T]:
    """Give tensors the names that a model has, where one of the two has names of before.

    Args:
        tensors: by name, those of now or of before.
        own: the names of the model.

    Returns:
        The same tensors in the same order; a name that is no name of the model's by either vocabulary stays.
    """
    wanted = {current(name): name for name in own if name not in tensors}
    found: dict[str, T] = {}
    for name, tensor in tensors.items():
        goal = name if name in own else wanted.get(current(name), name)
        found[name if goal in found else goal] = tensor
    return found


def part(module: Any, name: str) -> Any:
    """Get a part of a model by its name of now, also where its class has one of before.

    Raises:
        AttributeError: it has neither.
    """
    for one in (name, *(old for old, new in NOW.items() if new == name)):
        if hasattr(module, one):
            return getattr(module, one)
    raise AttributeError(f"a {type(module).__name__} has no part {name!r}, nor one that was called otherwise before")
