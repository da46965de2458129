"""What learners get wrong in GPT-2: each a complete wrong implementation, often in several code forms."""
import math

import torch
import torch.nn.functional as F

from autograder.mistakes import mistake
from gptlib import gpt2 as reference

# gpt2.count_parameters -------------------------------------------------------------------------------------------

COUNT = "gpt2.count_parameters"


def counted(layers, width, vocabulary, context, inner):
    return reference.count_parameters(layers, width, vocabulary, context, inner)


@mistake(COUNT, "the biases of query, key and value and the norm at the end are left out, as on a well-known slide")
def as_on_the_slide(n_layers, d_model, vocab_size, context_length, d_ff):
    block = 4 * d_model**2 + d_model + 2 * d_model * d_ff + d_ff + d_model + 4 * d_model
    return (vocab_size + context_length) * d_model + n_layers * block


@mistake(COUNT, "the norm at the end is left out")
def no_final_norm(n_layers, d_model, vocab_size, context_length, d_ff):
    return counted(n_layers, d_model, vocab_size, context_length, d_ff) - 2 * d_model


@mistake(COUNT, "the output layer is counted as a matrix of its own, although it is the token embedding")
def untied(n_layers, d_model, vocab_size, context_length, d_ff):
    return counted(n_layers, d_model, vocab_size, context_length, d_ff) + vocab_size * d_model


NO_BIAS = "no linear layer has a bias"


@mistake(COUNT, NO_BIAS)
def without_biases(n_layers, d_model, vocab_size, context_length, d_ff):
    block = 4 * d_model**2 + 2 * d_model * d_ff + 4 * d_model
    return (vocab_size + context_length) * d_model + n_layers * block + 2 * d_model


@mistake(COUNT, NO_BIAS)
def subtracted(n_layers, d_model, vocab_size, context_length, d_ff):
    return counted(n_layers, d_model, vocab_size, context_length, d_ff) - n_layers * (5 * d_model + d_ff)


@mistake(COUNT, "the feed-forward layer is always taken to be four times as wide as the model")
def four_times(n_layers, d_model, vocab_size, context_length, d_ff):
    return counted(n_layers, d_model, vocab_size, context_length, 4 * d_model)


@mistake(COUNT, "the learned positions are left out")
def no_positions(n_layers, d_model, vocab_size, context_length, d_ff):
    return counted(n_layers, d_model, vocab_size, context_length, d_ff) - context_length * d_model


@mistake(COUNT, "layer norms are counted with a scale but no shift")
def half_norms(n_layers, d_model, vocab_size, context_length, d_ff):
    return counted(n_layers, d_model, vocab_size, context_length, d_ff) - (2 * n_layers + 1) * d_model


@mistake(COUNT, "the 12·L·D² of the papers is taken for the exact number")
def rule_of_thumb(n_layers, d_model, vocab_size, context_length, d_ff):
    return 12 * n_layers * d_model**2 + (vocab_size + context_length) * d_model


# gpt2.Block ------------------------------------------------------------------------------------------------------

BLOCK = "gpt2.Block"


class Base(reference.Block):
    """A block with a feed-forward layer to call."""

    def feed_forward(self, x):
        return self.dropout(self.down(F.gelu(self.up(x), approximate="tanh")))


POST = "the norms stand behind the additions, as in GPT-1 (post-LN)"


@mistake(BLOCK, POST)
class PostNorm(Base):
    def forward(self, x, mix=None):
        x = self.attention_norm(x + self.attention(x, mix))
        return self.feed_forward_norm(x + self.feed_forward(x))


@mistake(BLOCK, POST)
class PostNormInSteps(Base):
    def forward(self, x, mix=None):
        found = self.attention(x, mix)
        middle = self.attention_norm(found + x)
        return self.feed_forward_norm(self.feed_forward(middle) + middle)


@mistake(BLOCK, "the norm stands behind each sublayer instead of before it")
class NormOfTheResult(Base):
    def forward(self, x, mix=None):
        x = x + self.attention_norm(self.attention(x, mix))
        return x + self.feed_forward_norm(self.feed_forward(x))


FROM_NORM = "the sum is taken with the normed x instead of x, so the main road is normed at every block"


@mistake(BLOCK, FROM_NORM)
class ResidualFromTheNorm(Base):
    def forward(self, x, mix=None):
        x = self.attention_norm(x)
        x = x + self.attention(x, mix)
        x = self.feed_forward_norm(x)
        return x + self.feed_forward(x)


@mistake(BLOCK, FROM_NORM)
class SecondResidualFromTheNorm(Base):
    def forward(self, x, mix=None):
        x = x + self.attention(self.attention_norm(x), mix)
        normed = self.feed_forward_norm(x)
        return normed + self.feed_forward(normed)


@mistake(BLOCK, "nothing is added: each sublayer's result replaces x")
class NoResidual(Base):
    def forward(self, x, mix=None):
        x = self.attention(self.attention_norm(x), mix)
        return self.feed_forward(self.feed_forward_norm(x))


@mistake(BLOCK, "what attention found is not added to what the feed-forward layer gives")
class SecondResidualForgotten(Base):
    def forward(self, x, mix=None):
        x = x + self.attention(self.attention_norm(x), mix)
        return self.feed_forward(self.feed_forward_norm(x))


PARALLEL = "the feed-forward layer reads x as it was before attention"


@mistake(BLOCK, PARALLEL)
class Parallel(Base):
    def forward(self, x, mix=None):
        return x + self.attention(self.attention_norm(x), mix) + self.feed_forward(self.feed_forward_norm(x))


@mistake(BLOCK, "the first norm is used twice")
class OneNorm(Base):
    def forward(self, x, mix=None):
        x = x + self.attention(self.attention_norm(x), mix)
        return x + self.feed_forward(self.attention_norm(x))


@mistake(BLOCK, "the exact GELU (with erf) is used instead of the form with tanh")
class ExactGelu(Base):
    def feed_forward(self, x):
        return self.down(F.gelu(self.up(x)))

    def forward(self, x, mix=None):
        x = x + self.attention(self.attention_norm(x), mix)
        return x + self.feed_forward(self.feed_forward_norm(x))


@mistake(BLOCK, "ReLU is used instead of GELU")
class Relu(ExactGelu):
    def feed_forward(self, x):
        return self.down(F.relu(self.up(x)))


@mistake(BLOCK, "GELU is approximated by u·σ(1.702u)")
class SigmoidGelu(ExactGelu):
    def feed_forward(self, x):
        u = self.up(x)
        return self.down(u * torch.sigmoid(1.702 * u))


@mistake(BLOCK, "there is no activation between the two layers")
class Linear(ExactGelu):
    def feed_forward(self, x):
        return self.down(self.up(x))


@mistake(BLOCK, "`mix` is not passed on")
class MixForgotten(Base):
    def forward(self, x, mix=None):
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.feed_forward_norm(x))


@mistake(BLOCK, "x is changed in place")
class InPlace(Base):
    def forward(self, x, mix=None):
        with torch.no_grad():
            x += self.attention(self.attention_norm(x), mix)
        return x + self.feed_forward(self.feed_forward_norm(x))


# gpt2.initial_std ------------------------------------------------------------------------------------------------

STD = "gpt2.initial_std"
WRITERS = ("attention.output.weight", "down.weight")


@mistake(STD, "N is taken as the number of blocks, although every block adds twice")
def one_addition_a_block(name, n_layers):
    scale = n_layers**-0.5 if name.endswith(WRITERS) else 1
    return 0.0 if name.endswith("bias") else 0.02 * scale


@mistake(STD, "it is divided by N instead of its root")
def no_root(name, n_layers):
    scale = 1 / (2 * n_layers) if name.endswith(WRITERS) else 1
    return 0.0 if name.endswith("bias") else 0.02 * scale


EVERY = "every matrix is made smaller, not only those that write into the residual stream"


@mistake(STD, EVERY)
def all_matrices(name, n_layers):
    return 0.0 if name.endswith("bias") else 0.02 / math.sqrt(2 * n_layers)


@mistake(STD, EVERY)
def all_in_blocks(name, n_layers):
    scale = (2 * n_layers) ** -0.5 if name.startswith("blocks") else 1
    return 0.0 if name.endswith("bias") else 0.02 * scale


@mistake(STD, "biases start at random")
def random_biases(name, n_layers):
    return 0.02 / math.sqrt(2 * n_layers) if ".output." in name or ".down." in name else 0.02


@mistake(STD, "the second matrix of the feed-forward layer is forgotten")
def attention_only(name, n_layers):
    scale = (2 * n_layers) ** -0.5 if "attention.output" in name else 1
    return 0.0 if name.endswith("bias") else 0.02 * scale


@mistake(STD, "the output of attention is forgotten")
def feed_forward_only(name, n_layers):
    scale = (2 * n_layers) ** -0.5 if "down" in name else 1
    return 0.0 if name.endswith("bias") else 0.02 * scale


@mistake(STD, "nothing is made smaller, whatever the depth")
def flat(name, n_layers):
    return 0.0 if name.endswith("bias") else 0.02


@mistake(STD, "it is multiplied by √N instead of divided")
def growing(name, n_layers):
    scale = (2 * n_layers) ** 0.5 if name.endswith(WRITERS) else 1
    return 0.0 if name.endswith("bias") else 0.02 * scale


# gpt2.GPT2 -------------------------------------------------------------------------------------------------------

WHOLE = "gpt2.GPT2"
NO_NORM = "the norm behind the last block is left out"


@mistake(WHOLE, NO_NORM)
class NoFinalNorm(reference.GPT2):
    def unembed(self, x):
        return x @ self.token_embedding.weight.T


@mistake(WHOLE, "the final norm is applied before the blocks")
class NormFirst(reference.GPT2):
    def embed(self, tokens, positions=None):
        return self.final_norm(super().embed(tokens, positions))

    def unembed(self, x):
        return x @ self.token_embedding.weight.T


@mistake(WHOLE, "the output layer has a matrix of its own instead of the token embedding")
class Untied(reference.GPT2):
    def unembed(self, x):
        own = torch.full_like(self.token_embedding.weight, 0.02)
        return F.linear(self.final_norm(x), own)


@mistake(WHOLE, "the output layer is the token embedding, but no gradient comes through it", visible=False)
class DetachedHead(reference.GPT2):
    def unembed(self, x):
        return F.linear(self.final_norm(x), self.token_embedding.weight.detach())


SHIFTED = "the first position is counted as 1"


@mistake(WHOLE, SHIFTED)
class FromOne(reference.GPT2):
    def embed(self, tokens, positions=None):
        positions = torch.arange(tokens.size(1)) if positions is None else positions
        last = self.config.context_length - 1
        return self.token_embedding(tokens) + self.position_embedding((positions + 1).clamp(max=last))


@mistake(WHOLE, "the positions are left out")
class NoPositions(reference.GPT2):
    def embed(self, tokens, positions=None):
        super().embed(tokens, positions)
        return self.token_embedding(tokens)


DEAF = "`positions` is ignored, and every text begins at place 0"


@mistake(WHOLE, DEAF)
class AlwaysFromZero(reference.GPT2):
    def embed(self, tokens, positions=None):
        return super().embed(tokens)


@mistake(WHOLE, DEAF)
class NotPassedOn(reference.GPT2):
    def forward(self, tokens, positions=None, mixes=None):
        return super().forward(tokens, None, mixes)


@mistake(WHOLE, "the token embedding is multiplied by √D, as in the Transformer of 2017")
class ScaledEmbedding(reference.GPT2):
    def embed(self, tokens, positions=None):
        plus = super().embed(tokens, positions)
        return plus + (self.config.d_model**0.5 - 1) * self.token_embedding(tokens)


@mistake(WHOLE, "the first block is applied again and again")
class OneBlock(reference.GPT2):
    def forward(self, tokens, positions=None, mixes=None):
        x = self.embed(tokens, positions)
        for mix in mixes or [None] * len(self.blocks):
            x = self.blocks[0](x, mix)
        return self.unembed(x)


@mistake(WHOLE, "the blocks are applied in reverse")
class Reversed(reference.GPT2):
    def forward(self, tokens, positions=None, mixes=None):
        x = self.embed(tokens, positions)
        for block, mix in zip(reversed(self.blocks), mixes or [None] * len(self.blocks), strict=True):
            x = block(x, mix)
        return self.unembed(x)


@mistake(WHOLE, "probabilities come back instead of logits")
class Softmaxed(reference.GPT2):
    def unembed(self, x):
        return super().unembed(x).softmax(-1)


@mistake(WHOLE, "only the last position's logits come back")
class LastOnly(reference.GPT2):
    def forward(self, tokens, positions=None, mixes=None):
        return super().forward(tokens, positions, mixes)[:, -1]


@mistake(WHOLE, "`mixes` is ignored")
class MixesForgotten(reference.GPT2):
    def forward(self, tokens, positions=None, mixes=None):
        return super().forward(tokens, positions)


@mistake(WHOLE, "every block's result is thrown away: x is not kept")
class BlocksForgotten(reference.GPT2):
    def forward(self, tokens, positions=None, mixes=None):
        x = self.embed(tokens, positions)
        for block, mix in zip(self.blocks, mixes or [None] * len(self.blocks), strict=True):
            block(x, mix)
        return self.unembed(x)


@mistake(WHOLE, "parameters keep the start that PyTorch gives them")
class PyTorchsStart(reference.GPT2):
    @torch.no_grad()
    def initialise(self, generator=None):
        for module in self.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()


# gpt2.from_hugging_face ------------------------------------------------------------------------------------------

LOAD = "gpt2.from_hugging_face"
NOT_TURNED = "no matrix is turned"


def changed(change):
    """A conversion in which every tensor of the right answer is changed once more."""
    def convert(tensors, n_layers):
        right = reference.from_hugging_face(tensors, n_layers)
        return {name: change(name, tensor).contiguous() for name, tensor in right.items()}

    return convert


def is_matrix(name, tensor):
    return name.startswith("blocks") and tensor.dim() == 2


@mistake(LOAD, NOT_TURNED)
def never_turned(tensors, n_layers):
    return changed(lambda name, t: t.T if is_matrix(name, t) else t)(tensors, n_layers)


@mistake(LOAD, "only matrices that do not fit otherwise are turned, so the square ones stay as they were")
def square_ones_stay(tensors, n_layers):
    def change(name, t):
        return t.T if is_matrix(name, t) and t.size(0) == t.size(1) else t

    return changed(change)(tensors, n_layers)


@mistake(LOAD, "all matrices are turned, the embeddings with them")
def embeddings_too(tensors, n_layers):
    return changed(lambda name, t: t.T if "embedding" in name else t)(tensors, n_layers)


@mistake(LOAD, "numbers are poured into the other shape (reshape) instead of exchanging axes")
def poured(tensors, n_layers):
    def change(name, t):
        return t.T.contiguous().reshape(t.shape) if is_matrix(name, t) else t

    return changed(change)(tensors, n_layers)


@mistake(LOAD, "query, key and value are taken to alternate by head instead of lying side by side")
def alternating(tensors, n_layers):
    def change(name, t):
        return t.reshape(3, -1, *t.shape[1:]).transpose(0, 1).reshape(t.shape) if "qkv.weight" in name else t

    return changed(change)(tensors, n_layers)


@mistake(LOAD, "the biases are left out")
def no_biases(tensors, n_layers):
    right = reference.from_hugging_face(tensors, n_layers)
    return {name: t for name, t in right.items() if not name.endswith("bias") or "norm" in name}


@mistake(LOAD, "the published names are kept")
def their_names(tensors, n_layers):
    right = reference.from_hugging_face(tensors, n_layers)
    names = reference.parameter_names(n_layers)
    return {names[name]: t for name, t in right.items()}


@mistake(LOAD, "the two norms of a block are exchanged")
def norms_exchanged(tensors, n_layers):
    right = reference.from_hugging_face(tensors, n_layers)
    swap = {"attention_norm": "feed_forward_norm", "feed_forward_norm": "attention_norm"}
    return {next((n.replace(a, b) for a, b in swap.items() if a in n), n): t for n, t in right.items()}
