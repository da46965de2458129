"""GPT-1: pretrain a decoder to predict the next token, then fine-tune the same network for each task.

The decoder of the Transformer without its cross-attention, so that nothing is left but masked self-attention and
feed-forward layers, with the normalisation after each residual sum. Every task is written as one or more sequences
of tokens, so that the network itself never changes: only a linear head is new.

Axes:
    B: batch
    T: positions of a text; in attention, of the queries
    D: d_model, the width of the model
    V: vocabulary
    R: sequences that the examples of a batch are written as, one or more each
    C: classes of a task
"""
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import attention

KINDS = ("classification", "entailment", "similarity", "multiple choice")


@dataclass(frozen=True)
class GPTConfig:
    """The sizes of a GPT-1, named as in Table 2.1 of the GPT-3 paper where it has a name.

    Args:
        n_layers: number of blocks.
        d_model: width D.
        n_heads: number of attention heads; it divides `d_model`.
        d_ff: width of the hidden layer of each feed-forward network.
        vocab_size: number of tokens V, special ones included.
        context_length: most positions of a text.
        dropout: probability of dropping a number after the embedding and before each residual sum. (The original
            also drops attention weights; `attention.attend` does not.)

    Raises:
        ValueError: a size is less than 1, `n_heads` does not divide `d_model`, or `dropout` is not in [0, 1).
    """

    n_layers: int
    d_model: int
    n_heads: int
    d_ff: int
    vocab_size: int
    context_length: int
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in ("n_layers", "d_model", "n_heads", "d_ff", "vocab_size", "context_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.d_model % self.n_heads:
            raise ValueError(f"n_heads must divide d_model = {self.d_model}, got {self.n_heads}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}")

    def n_parameters(self) -> int:
        """Count the parameters of `GPT(self)` by formula; the output layer is the token embedding and adds none."""
        attending = 4 * self.d_model * (self.d_model + 1)
        feeding = 2 * self.d_model * self.d_ff + self.d_ff + self.d_model
        normalising = 2 * 2 * self.d_model
        embedding = (self.vocab_size + self.context_length) * self.d_model
        return embedding + self.n_layers * (attending + feeding + normalising)


# Radford et al. 2018, section 4.1; 40,478 = 40,000 merges and 478 symbols, as in the published vocabulary.
GPT1 = GPTConfig(n_layers=12, d_model=768, n_heads=12, d_ff=3072, vocab_size=40_478, context_length=512)


def gelu(x: Tensor) -> Tensor:
    """Multiply each number by about the share of a standard normal that lies below it (given; no exercise).

    Args:
        x: (...). Any numbers.

    Returns:
        (...). ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))), which is not quite x·Φ(x).

    Source:
        Hendrycks and Gimpel 2016, section 2.
    """
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


class Block(nn.Module):
    """One block of the decoder: attention, then a feed-forward network, each added to its input and normalised after.

    Its parts are `attention` (an `attention.MultiHeadAttention`), `attention_norm`, `up` (from D to d_ff), `down` (from
    d_ff to D), `feed_forward_norm` and `dropout`.

    Args:
        d_model: width D of what comes in and goes out.
        n_heads: number of attention heads; it divides `d_model`.
        d_ff: width of the hidden layer.
        dropout: probability of dropping a number of a sublayer's output, before it is added.

    Raises:
        ValueError: `n_heads` is less than 1 or does not divide `d_model`.

    Source:
        Radford et al. 2018, section 3.1 and Figure 1; Vaswani et al. 2017, section 3.1, LayerNorm(x + Sublayer(x)).
    """

    def __init__(self, d_model: int, n_heads: int, d_ff: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention = attention.MultiHeadAttention(d_model, n_heads)
        self.attention_norm = nn.LayerNorm(d_model)
        self.up = nn.Linear(d_model, d_ff)
        self.down = nn.Linear(d_ff, d_model)
        self.feed_forward_norm = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Let each position gather from itself and those before it, then work on it alone.

        Args:
            x: (B, T, D).

        Returns:
            (B, T, D).
        """
        # BEGIN SOLUTION
        mask = attention.causal_mask(x.size(1)).to(x.device)
        x = self.attention_norm(x + self.dropout(self.attention(x, mask=mask)))
        return self.feed_forward_norm(x + self.dropout(self.down(gelu(self.up(x)))))
        # END SOLUTION


class GPT(nn.Module):
    """The decoder of GPT-1 (given): embeddings of tokens and positions, blocks, and the token embedding once more.

    Args:
        config: its sizes.

    Weights begin as N(0, 0.02²) at the paper's width of 768, and wider spread in narrower models (0.02 √(768 / D)), so
    that a sum over D of them has the same size.

    Source:
        Radford et al. 2018, equation 2 and section 4.1.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.position_embedding = nn.Embedding(config.context_length, config.d_model)
        sizes = config.d_model, config.n_heads, config.d_ff, config.dropout
        self.blocks = nn.ModuleList(Block(*sizes) for _ in range(config.n_layers))
        self.dropout = nn.Dropout(config.dropout)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02 * math.sqrt(768 / config.d_model))
                if isinstance(module, nn.Linear):
                    nn.init.zeros_(module.bias)

    def states(self, tokens: Tensor) -> list[Tensor]:
        """Return what goes into the first block and what comes out of each, n_layers + 1 tensors of (B, T, D).

        Args:
            tokens: (B, T) token numbers.

        Raises:
            ValueError: T is greater than the context length.
        """
        if tokens.size(1) > self.config.context_length:
            raise ValueError(
                f"tokens must be at most context_length = {self.config.context_length} long, got {tokens.size(1)}"
            )
        places = torch.arange(tokens.size(1), device=tokens.device)
        states = [self.dropout(self.token_embedding(tokens) + self.position_embedding(places))]
        for block in self.blocks:
            states.append(block(states[-1]))
        return states

    def logits(self, states: Tensor) -> Tensor:
        """Compare states with the embeddings of all tokens, (..., D) to (..., V): the output layer is tied."""
        return F.linear(states, self.token_embedding.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """Predict the next token at every position.

        Args:
            tokens: (B, T) token numbers.

        Returns:
            (B, T, V) logits; those at position t are for the token at t + 1.

        Raises:
            ValueError: T is greater than the context length.
        """
        return self.logits(self.states(tokens)[-1])


def next_token_loss(logits: Tensor, tokens: Tensor, lengths: Tensor) -> Tensor:
    """Mean −log probability of every real token that has a real token before it: the pretraining loss L1.

    Args:
        logits: (B, T, V); those at position t predict the token at t + 1.
        tokens: (B, T) token numbers, filled up at the end.
        lengths: (B,) true lengths, between 0 and T, at least one of them 2 or more.

    Returns:
        () nats per predicted token, over the whole batch, not text by text.

    Raises:
        ValueError: `logits` and `tokens` disagree about (B, T), or no text has 2 tokens.

    Source:
        Radford et al. 2018, equation 1 (there a sum, with the other sign).
    """
    if logits.shape[:2] != tokens.shape:
        raise ValueError(f"logits must begin with the shape {tuple(tokens.shape)} of tokens, got {tuple(logits.shape)}")
    if int(lengths.max()) < 2:
        raise ValueError(f"lengths must hold a 2 or more, got {lengths.tolist()}")
    # BEGIN SOLUTION
    real = torch.arange(1, tokens.size(1), device=tokens.device) < lengths[:, None]  # is there a token t + 1?
    return F.cross_entropy(logits[:, :-1][real], tokens[:, 1:][real])
    # END SOLUTION


def format_task(
    kind: str, parts: Sequence[Sequence[int]], special: tuple[int, int, int], limit: int
) -> list[list[int]]:
    """Write one example of a task as the sequences that a language model can read.

    classification: start, text, extract. entailment: start, premise, delimiter, hypothesis, extract. similarity: two
    sequences like that, the two texts in both orders. multiple choice: one sequence for each answer, the context in
    front of it; parts are the context and the answers. A sequence that would be longer than `limit` loses tokens from
    the end of its first text, and nothing else.

    Args:
        kind: one of KINDS.
        parts: the texts of the example, as token numbers.
        special: token numbers of start, delimiter and extract.
        limit: most tokens of a sequence, special ones included.

    Returns:
        One list of token numbers for each sequence.

    Raises:
        ValueError: `kind` is unknown, `parts` are too few or too many for it, or `limit` leaves no room.

    Source:
        Radford et al. 2018, section 3.3 and Figure 1.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    wanted = {"classification": len(parts) == 1, "multiple choice": len(parts) > 2}.get(kind, len(parts) == 2)
    if not wanted:
        raise ValueError(f"parts must fit the kind {kind!r}, got {len(parts)}")
    start, delimiter, extract = special
    if kind == "classification":
        needed = 2
    else:
        needed = 3 + max(map(len, parts if kind == "similarity" else parts[1:]))
    if limit < needed:
        raise ValueError(f"limit must be at least {needed} for these parts, got {limit}")
    # BEGIN SOLUTION
    if kind == "classification":
        return [[start, *parts[0][: limit - 2], extract]]
    pairs = [(parts[0], other) for other in parts[1:]]
    if kind == "similarity":
        pairs.append((parts[1], parts[0]))
    return [[start, *a[: limit - 3 - len(b)], delimiter, *b, extract] for a, b in pairs]
    # END SOLUTION


def fill_up(sequences: Sequence[Sequence[int]], filler: int) -> tuple[Tensor, Tensor]:
    """Put sequences of unequal length into one tensor (given): (R, T) token numbers and (R,) true lengths.

    Raises:
        ValueError: there is no sequence.
    """
    if not sequences:
        raise ValueError("sequences must not be empty")
    longest = max(map(len, sequences))
    rows = [[*sequence, *[filler] * (longest - len(sequence))] for sequence in sequences]
    return torch.tensor(rows), torch.tensor([len(sequence) for sequence in sequences])


class TaskHead(nn.Module):
    """The only new layer of fine-tuning: a linear one, `output`, on the state of the extract token.

    Args:
        kind: one of KINDS.
        d_model: width D of the states.
        n_classes: number of classes C; with multiple choice, number of answers.

    Raises:
        ValueError: `kind` is unknown or `n_classes` less than 1.

    Source:
        Radford et al. 2018, equation 3 and section 3.3. (The paper adds the two states of a similarity; their mean
        differs by a factor of 2 that the linear layer can make up.)
    """

    def __init__(self, kind: str, d_model: int, n_classes: int) -> None:
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
        if n_classes < 1:
            raise ValueError(f"n_classes must be at least 1, got {n_classes}")
        self.kind, self.n_classes = kind, n_classes
        self.output = nn.Linear(d_model, 1 if kind == "multiple choice" else n_classes)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Score the classes of each example by the state of the last real token, which is the extract token.

        The sequences of one example stand one after the other. With similarity the states of its two are averaged;
        with multiple choice each answer's sequence gives that answer's score.

        Args:
            states: (R, T, D) out of the last block.
            lengths: (R,) true lengths, at least 1.

        Returns:
            (B, C) logits.
        """
        # BEGIN SOLUTION
        found = states[torch.arange(len(lengths), device=states.device), lengths - 1]  # (R, D)
        if self.kind == "similarity":
            found = found.unflatten(0, (-1, 2)).mean(1)
        scores = self.output(found)
        return scores.view(-1, self.n_classes)  # (B, C); with multiple choice C sequences of one score each
        # END SOLUTION


def finetune_loss(
    class_logits: Tensor, labels: Tensor, logits: Tensor, tokens: Tensor, lengths: Tensor, weight: float = 0.5
) -> Tensor:
    """The loss of fine-tuning, L3 = L2 + λ·L1: get the label right, and go on predicting the next token.

    Args:
        class_logits: (B, C) from the task head.
        labels: (B,) right classes, each from 0 to C − 1.
        logits: (R, T, V) of the language model for the same sequences.
        tokens: (R, T) token numbers.
        lengths: (R,) true lengths.
        weight: λ, at least 0; the paper takes 0.5.

    Returns:
        () nats; the mean −log probability of a label plus λ times `next_token_loss`.

    Raises:
        ValueError: `weight` is negative.

    Source:
        Radford et al. 2018, equations 4 and 5.
    """
    if weight < 0:
        raise ValueError(f"weight must not be negative, got {weight}")
    # BEGIN SOLUTION
    return F.cross_entropy(class_logits, labels) + weight * next_token_loss(logits, tokens, lengths)
    # END SOLUTION
