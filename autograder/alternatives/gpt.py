"""Other right answers to the exercises of GPT-1: the checks must accept every one."""
import itertools

import torch
import torch.nn.functional as F

from autograder.alternatives import alternative
from gptlib import attention
from gptlib import gpt as reference

BLOCK, LOSS, TASK = "gpt.Block", "gpt.next_token_loss", "gpt.format_task"
HEAD, JOINT = "gpt.TaskHead", "gpt.finetune_loss"


@alternative(BLOCK, "PyTorch's tanh GELU and a triangle by tril")
class TorchGELU(reference.Block):
    def forward(self, x):
        mask = torch.ones(x.size(1), x.size(1), dtype=torch.bool).tril()
        x = self.attention_norm(self.dropout(self.attention(x, mask=mask)) + x)
        fed = self.down(F.gelu(self.up(x), approximate="tanh"))
        return self.feed_forward_norm(self.dropout(fed) + x)


@alternative(BLOCK, "norms by hand")
class NormsByHand(reference.Block):
    def forward(self, x):
        def norm(layer, y):
            centred = y - y.mean(-1, keepdim=True)
            variance = centred.square().mean(-1, keepdim=True)
            return centred * torch.rsqrt(variance + layer.eps) * layer.weight + layer.bias

        found = self.attention(x, x, attention.causal_mask(x.size(1)))
        x = norm(self.attention_norm, x + self.dropout(found))
        return norm(self.feed_forward_norm, x + self.dropout(self.down(reference.gelu(self.up(x)))))


@alternative(BLOCK, "position by position, each looking back")
class OneByOne(reference.Block):
    def forward(self, x):
        rows = [self.attention(x[:, t : t + 1], x[:, : t + 1]) for t in range(x.size(1))]
        x = self.attention_norm(x + self.dropout(torch.cat(rows, dim=1)))
        return self.feed_forward_norm(x + self.dropout(self.down(reference.gelu(self.up(x)))))


@alternative(LOSS, "targets of −100 where nothing is to be predicted")
def ignored_targets(logits, tokens, lengths):
    real = torch.arange(1, tokens.size(1)) < lengths[:, None]
    targets = tokens[:, 1:].masked_fill(~real, -100)
    return F.cross_entropy(logits[:, :-1].transpose(1, 2), targets)


@alternative(LOSS, "losses of all positions, masked and averaged")
def masked_mean(logits, tokens, lengths):
    real = torch.arange(1, tokens.size(1)) < lengths[:, None]
    found = logits.log_softmax(-1)[:, :-1].gather(2, tokens[:, 1:, None])[..., 0]
    return -torch.where(real, found, 0.0).sum() / real.sum()


@alternative(LOSS, "text by text, in a loop")
def text_by_text(logits, tokens, lengths):
    rows = [(x[: n - 1], t[1:n]) for x, t, n in zip(logits, tokens, lengths.tolist(), strict=True) if n > 1]
    total = sum(F.cross_entropy(x, t, reduction="sum") for x, t in rows)
    return total / sum(len(t) for _, t in rows)


@alternative(TASK, "one branch a kind")
def branches(kind, parts, special, limit):
    start, delimiter, extract = special

    def pair(a, b):
        room = limit - len(b) - 3
        return [start] + list(a)[:room] + [delimiter] + list(b) + [extract]

    if kind == "classification":
        return [[start] + list(parts[0])[: limit - 2] + [extract]]
    if kind == "entailment":
        return [pair(*parts)]
    if kind == "similarity":
        return [pair(parts[0], parts[1]), pair(parts[1], parts[0])]
    return [pair(parts[0], answer) for answer in parts[1:]]


@alternative(TASK, "tokens taken away until it fits")
def token_by_token(kind, parts, special, limit):
    start, delimiter, extract = special
    texts = [list(part) for part in parts]
    if kind == "classification":
        pairs = [(texts[0], None)]
    elif kind == "similarity":
        pairs = [(texts[0], texts[1]), (texts[1], texts[0])]
    else:
        pairs = [(texts[0], other) for other in texts[1:]]
    found = []
    for a, b in pairs:
        first, rest = list(a), [extract] if b is None else [delimiter, *b, extract]
        while 1 + len(first) + len(rest) > limit:
            first.pop()
        found.append([start, *first, *rest])
    return found


@alternative(TASK, "permutations for the two orders")
def by_permutations(kind, parts, special, limit):
    start, delimiter, extract = special
    if kind == "classification":
        return [[start, *itertools.islice(parts[0], limit - 2), extract]]
    pairs = itertools.permutations(parts) if kind == "similarity" else ((parts[0], p) for p in parts[1:])
    return [[start, *itertools.islice(a, limit - 3 - len(b)), delimiter, *b, extract] for a, b in pairs]


@alternative(HEAD, "gather")
class Gathered(reference.TaskHead):
    def forward(self, states, lengths):
        index = (lengths - 1)[:, None, None].expand(-1, 1, states.size(-1))
        found = states.gather(1, index).squeeze(1)
        if self.kind == "similarity":
            found = (found[::2] + found[1::2]) / 2
        return self.output(found).reshape(-1, self.n_classes)


@alternative(HEAD, "the head on all positions, then the choice; means of logits")
class HeadFirst(reference.TaskHead):
    def forward(self, states, lengths):
        scores = self.output(states)
        chosen = torch.stack([row[n - 1] for row, n in zip(scores, lengths.tolist(), strict=True)])
        if self.kind == "similarity":
            return chosen.view(-1, 2, chosen.size(-1)).mean(1)
        return chosen.reshape(-1, self.n_classes)


@alternative(HEAD, "a one-hot choice by einsum")
class OneHot(reference.TaskHead):
    def forward(self, states, lengths):
        chosen = F.one_hot(lengths - 1, states.size(1)).to(states.dtype)
        found = torch.einsum("rt,rtd->rd", chosen, states)
        if self.kind == "similarity":
            found = found.view(len(found) // 2, 2, -1).mean(dim=1)
        if self.kind == "multiple choice":
            return self.output(found).squeeze(-1).view(-1, self.n_classes)
        return self.output(found)


@alternative(JOINT, "log-probabilities picked by hand")
def picked(class_logits, labels, logits, tokens, lengths, weight=0.5):
    found = class_logits.log_softmax(-1)[torch.arange(len(labels)), labels]
    return weight * reference.next_token_loss(logits, tokens, lengths) - found.mean()


@alternative(JOINT, "without the other exercise")
def alone(class_logits, labels, logits, tokens, lengths, weight=0.5):
    targets = tokens[:, 1:].masked_fill(torch.arange(1, tokens.size(1)) >= lengths[:, None], -100)
    old = F.cross_entropy(logits[:, :-1].flatten(0, 1), targets.flatten())
    return F.nll_loss(F.log_softmax(class_logits, dim=1), labels).add(old, alpha=weight)


@alternative(JOINT, "the old loss is left away where λ is 0")
def only_when_needed(class_logits, labels, logits, tokens, lengths, weight=0.5):
    loss = F.cross_entropy(class_logits, labels)
    return loss + weight * reference.next_token_loss(logits, tokens, lengths) if weight else loss
