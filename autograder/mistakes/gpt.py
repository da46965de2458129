"""What learners get wrong in GPT-1: each a complete wrong implementation, often in several code forms."""
import torch
import torch.nn.functional as F

from autograder.mistakes import mistake
from gptlib import attention
from gptlib import gpt as reference
from gptlib.gpt import gelu

BLOCK, LOSS, TASK = "gpt.Block", "gpt.next_token_loss", "gpt.format_task"
HEAD, JOINT = "gpt.TaskHead", "gpt.finetune_loss"

# gpt.Block -------------------------------------------------------------------------------------------------------


class Given(reference.Block):
    """The given constructor."""

    def attended(self, x):
        return self.dropout(self.attention(x, mask=attention.causal_mask(x.size(1))))

    def fed(self, x):
        return self.dropout(self.down(gelu(self.up(x))))


PRE = "the norms stand before the sublayers, as in GPT-2, and not after the sums"


@mistake(BLOCK, PRE)
class PreNorm(Given):
    def forward(self, x):
        x = x + self.attended(self.attention_norm(x))
        return x + self.fed(self.feed_forward_norm(x))


@mistake(BLOCK, PRE)
class PreNormWithALastNorm(Given):
    def forward(self, x):
        x = x + self.attended(self.attention_norm(x))
        return self.feed_forward_norm(x + self.fed(x))


OUTSIDE = "only the sublayer's output is normalised, and x is added afterwards"


@mistake(BLOCK, OUTSIDE)
class NormOfTheSublayer(Given):
    def forward(self, x):
        x = x + self.attention_norm(self.attended(x))
        return x + self.feed_forward_norm(self.fed(x))


@mistake(BLOCK, OUTSIDE)
class NormOfTheSecondSublayer(Given):
    def forward(self, x):
        x = self.attention_norm(x + self.attended(x))
        return x + self.feed_forward_norm(self.fed(x))


@mistake(BLOCK, "there is no causal mask, so every position sees the future")
class Bidirectional(Given):
    def forward(self, x):
        x = self.attention_norm(x + self.dropout(self.attention(x)))
        return self.feed_forward_norm(x + self.fed(x))


@mistake(BLOCK, "the mask is upside down, so every position sees the future and itself only")
class Backwards(Given):
    def forward(self, x):
        mask = attention.causal_mask(x.size(1)).transpose(0, 1)
        x = self.attention_norm(x + self.dropout(self.attention(x, mask=mask)))
        return self.feed_forward_norm(x + self.fed(x))


@mistake(BLOCK, "the mask is given as the context, or the context as the mask")
class MaskAsContext(Given):
    def forward(self, x):
        x = self.attention_norm(x + self.dropout(self.attention(x, attention.causal_mask(x.size(1)))))
        return self.feed_forward_norm(x + self.fed(x))


NO_FIRST = "the residual path around attention is missing"


@mistake(BLOCK, NO_FIRST)
class NoFirstResidual(Given):
    def forward(self, x):
        x = self.attention_norm(self.attended(x))
        return self.feed_forward_norm(x + self.fed(x))


@mistake(BLOCK, "the residual path around the feed-forward network is missing")
class NoSecondResidual(Given):
    def forward(self, x):
        x = self.attention_norm(x + self.attended(x))
        return self.feed_forward_norm(self.fed(x))


@mistake(BLOCK, "the second residual adds the block's input instead of the first sum")
class InputAddedTwice(Given):
    def forward(self, x):
        y = self.attention_norm(x + self.attended(x))
        return self.feed_forward_norm(x + self.fed(y))


@mistake(BLOCK, "both sublayers work on the block's input, side by side")
class Parallel(Given):
    def forward(self, x):
        y = self.attention_norm(x + self.attended(x))
        return self.feed_forward_norm(y + self.fed(x))


@mistake(BLOCK, "the feed-forward network comes before attention")
class FeedFirst(Given):
    def forward(self, x):
        x = self.attention_norm(x + self.fed(x))
        return self.feed_forward_norm(x + self.attended(x))


@mistake(BLOCK, "the first norm is used twice")
class OneNorm(Given):
    def forward(self, x):
        x = self.attention_norm(x + self.attended(x))
        return self.attention_norm(x + self.fed(x))


@mistake(BLOCK, "the norms have changed places")
class NormsExchanged(Given):
    def forward(self, x):
        x = self.feed_forward_norm(x + self.attended(x))
        return self.attention_norm(x + self.fed(x))


@mistake(BLOCK, "the second norm is missing")
class NoSecondNorm(Given):
    def forward(self, x):
        x = self.attention_norm(x + self.attended(x))
        return x + self.fed(x)


def with_activation(function):
    class Other(Given):
        def forward(self, x):
            x = self.attention_norm(x + self.attended(x))
            return self.feed_forward_norm(x + self.dropout(self.down(function(self.up(x)))))

    return Other


@mistake(BLOCK, "the activation is the ReLU of the Transformer of 2017", see="gpt1-gelu")
class WithReLU(with_activation(torch.relu)):
    pass


@mistake(BLOCK, "GELU is the exact one, with the error function, instead of the tanh form", see="gpt1-gelu")
class WithExactGELU(with_activation(F.gelu)):
    pass


@mistake(BLOCK, "GELU is approximated by x·σ(1.702 x)", see="gpt1-gelu")
class WithSigmoid(with_activation(lambda x: x * torch.sigmoid(1.702 * x))):
    pass


@mistake(BLOCK, "there is no activation between the two linear layers", see="gpt1-gelu")
class WithNothing(with_activation(lambda x: x)):
    pass


@mistake(BLOCK, "the activation comes before `up` instead of after it", see="gpt1-gelu")
class ActivationFirst(Given):
    def forward(self, x):
        x = self.attention_norm(x + self.attended(x))
        return self.feed_forward_norm(x + self.dropout(self.down(self.up(gelu(x)))))


@mistake(BLOCK, "there is an activation after `down` as well", see="gpt1-gelu")
class ActivationTwice(Given):
    def forward(self, x):
        x = self.attention_norm(x + self.attended(x))
        return self.feed_forward_norm(x + self.dropout(gelu(self.down(gelu(self.up(x))))))


WHOLE = "dropout hits the sums, so that it also cuts the path around the sublayers"


@mistake(BLOCK, WHOLE)
class DropsTheSums(Given):
    def forward(self, x):
        x = self.attention_norm(self.dropout(x + self.attention(x, mask=attention.causal_mask(x.size(1)))))
        return self.feed_forward_norm(self.dropout(x + self.down(gelu(self.up(x)))))


@mistake(BLOCK, "there is no dropout")
class NeverDrops(Given):
    def forward(self, x):
        x = self.attention_norm(x + self.attention(x, mask=attention.causal_mask(x.size(1))))
        return self.feed_forward_norm(x + self.down(gelu(self.up(x))))


@mistake(BLOCK, "what is normalised is each feature over the positions")
class NormOverPositions(Given):
    def forward(self, x):
        def over_positions(norm, y):
            return F.layer_norm(y.transpose(1, 2), (y.size(1),)).transpose(1, 2) * norm.weight + norm.bias

        x = over_positions(self.attention_norm, x + self.attended(x))
        return over_positions(self.feed_forward_norm, x + self.fed(x))


# gpt.next_token_loss ---------------------------------------------------------------------------------------------


def real(tokens, lengths, begin=1):
    return torch.arange(begin, tokens.size(1)) < lengths[:, None]


ITSELF = "nothing is shifted, so each position predicts the token it has just read"


@mistake(LOSS, ITSELF)
def predicts_itself(logits, tokens, lengths):
    mask = real(tokens, lengths, 0)
    return F.cross_entropy(logits[mask], tokens[mask])


@mistake(LOSS, ITSELF)
def predicts_itself_without_the_first(logits, tokens, lengths):
    mask = real(tokens, lengths)
    return F.cross_entropy(logits[:, 1:][mask], tokens[:, 1:][mask])


@mistake(LOSS, "the shift goes the wrong way, so each position predicts the token before it")
def predicts_the_past(logits, tokens, lengths):
    mask = real(tokens, lengths)
    return F.cross_entropy(logits[:, 1:][mask], tokens[:, :-1][mask])


PADS = "the filling is predicted as well"


@mistake(LOSS, PADS)
def counts_the_filling(logits, tokens, lengths):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())


@mistake(LOSS, PADS)
def predicts_the_first_of_the_filling(logits, tokens, lengths):
    mask = real(tokens, lengths + 1)
    return F.cross_entropy(logits[:, :-1][mask], tokens[:, 1:][mask])


@mistake(LOSS, PADS)
def divides_by_all_positions(logits, tokens, lengths):
    mask = real(tokens, lengths)
    losses = F.cross_entropy(logits[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none")
    return (losses * mask).mean()


ZERO = "token number 0 is taken for filling"


@mistake(LOSS, ZERO)
def ignores_token_zero(logits, tokens, lengths):
    mask = real(tokens, lengths) & (tokens[:, 1:] != 0)
    return F.cross_entropy(logits[:, :-1][mask], tokens[:, 1:][mask])


@mistake(LOSS, ZERO)
def ignore_index_zero(logits, tokens, lengths):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=0)


BY_TEXT = "the mean is taken text by text first, so that tokens of short texts weigh more"


@mistake(LOSS, BY_TEXT)
def mean_of_means(logits, tokens, lengths):
    losses = [
        F.cross_entropy(x[: n - 1], t[1:n]) for x, t, n in zip(logits, tokens, lengths.tolist(), strict=True) if n > 1
    ]
    return torch.stack(losses).mean()


@mistake(LOSS, BY_TEXT)
def mean_of_means_masked(logits, tokens, lengths):
    mask = real(tokens, lengths)
    losses = F.cross_entropy(logits[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none") * mask
    return (losses.sum(1) / mask.sum(1).clamp(min=1))[lengths > 1].mean()


SUM = "the losses are summed and not averaged"


@mistake(LOSS, SUM)
def summed(logits, tokens, lengths):
    mask = real(tokens, lengths)
    return F.cross_entropy(logits[:, :-1][mask], tokens[:, 1:][mask], reduction="sum")


@mistake(LOSS, SUM)
def summed_over_time(logits, tokens, lengths):
    mask = real(tokens, lengths)
    losses = F.cross_entropy(logits[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none")
    return (losses * mask).sum() / len(tokens)


@mistake(LOSS, "the lengths are counted, and not the predictions")
def divides_by_lengths(logits, tokens, lengths):
    mask = real(tokens, lengths)
    return F.cross_entropy(logits[:, :-1][mask], tokens[:, 1:][mask], reduction="sum") / lengths.sum()


@mistake(LOSS, "the targets are rolled, so that the last logits must predict the first token")
def rolled(logits, tokens, lengths):
    mask = real(tokens, lengths, 0)
    return F.cross_entropy(logits[mask], tokens.roll(-1, 1)[mask])


DOUBLE = "the softmax is applied twice"


@mistake(LOSS, DOUBLE)
def softmax_twice(logits, tokens, lengths):
    mask = real(tokens, lengths)
    return F.cross_entropy(logits.softmax(-1)[:, :-1][mask], tokens[:, 1:][mask])


@mistake(LOSS, "the softmax runs over the positions instead of the vocabulary")
def softmax_over_positions(logits, tokens, lengths):
    mask = real(tokens, lengths)
    return F.nll_loss(logits.log_softmax(1)[:, :-1][mask], tokens[:, 1:][mask])


@mistake(LOSS, "the sign is wrong")
def log_likelihood(logits, tokens, lengths):
    mask = real(tokens, lengths)
    return -F.cross_entropy(logits[:, :-1][mask], tokens[:, 1:][mask])


@mistake(LOSS, "the loss is in bits and not in nats")
def bits(logits, tokens, lengths):
    mask = real(tokens, lengths)
    return F.cross_entropy(logits[:, :-1][mask], tokens[:, 1:][mask]) / torch.log(torch.tensor(2.0, dtype=logits.dtype))


@mistake(LOSS, "the logarithm is taken of a softmax that has overflowed or underflowed")
def plain_exponentials(logits, tokens, lengths):
    mask = real(tokens, lengths)
    powers = logits[:, :-1][mask].exp()
    chosen = powers.gather(1, tokens[:, 1:][mask][:, None])[:, 0]
    return -(chosen / powers.sum(-1)).log().mean()


@mistake(LOSS, "the gradient is cut off", visible=False)
def detached(logits, tokens, lengths):
    mask = real(tokens, lengths)
    return F.cross_entropy(logits[:, :-1][mask], tokens[:, 1:][mask]).detach()

# gpt.format_task -------------------------------------------------------------------------------------------------


def right(kind, parts, special, limit):
    return reference.format_task(kind, parts, special, limit)


def framed(a, b, special, limit):
    start, delimiter, extract = special
    return [start, *a[: limit - 3 - len(b)], delimiter, *b, extract]


@mistake(TASK, "similarity is written in one order only")
def one_order(kind, parts, special, limit):
    return right(kind, parts, special, limit)[:1] if kind == "similarity" else right(kind, parts, special, limit)


@mistake(TASK, "both orders of a similarity are the same order")
def same_order_twice(kind, parts, special, limit):
    found = right(kind, parts, special, limit)
    return found[:1] * 2 if kind == "similarity" else found


@mistake(TASK, "the two orders of a similarity become one long sequence")
def both_orders_in_one(kind, parts, special, limit):
    found = right(kind, parts, special, limit)
    return [[*found[0], *found[1]]] if kind == "similarity" else found


NO_DELIMITER = "there is no delimiter between the two texts"


@mistake(TASK, NO_DELIMITER)
def delimiter_missing(kind, parts, special, limit):
    found = right(kind, parts, special, limit)
    if kind == "classification":
        return found
    firsts = [parts[0]] * (len(parts) - 1) + ([parts[1]] if kind == "similarity" else [])
    seconds = [*parts[1:], *([parts[0]] if kind == "similarity" else [])]
    start, _, extract = special
    return [[start, *a[: limit - 3 - len(b)], *b, extract] for a, b in zip(firsts, seconds, strict=True)]


@mistake(TASK, "the delimiter stands after the second text instead of between")
def delimiter_after(kind, parts, special, limit):
    if kind != "entailment":
        return right(kind, parts, special, limit)
    start, delimiter, extract = special
    a, b = parts
    return [[start, *a[: limit - 3 - len(b)], *b, delimiter, extract]]


@mistake(TASK, "the extract token is missing")
def extract_missing(kind, parts, special, limit):
    return [sequence[:-1] for sequence in right(kind, parts, special, limit)]


@mistake(TASK, "the start token is missing")
def start_missing(kind, parts, special, limit):
    return [sequence[1:] for sequence in right(kind, parts, special, limit)]


@mistake(TASK, "the extract token stands first, as BERT's [CLS] does")
def extract_first(kind, parts, special, limit):
    return [[s[-1], *s[:-1]] for s in right(kind, parts, special, limit)]


@mistake(TASK, "start and extract have changed places")
def frame_exchanged(kind, parts, special, limit):
    return right(kind, parts, (special[2], special[1], special[0]), limit)


@mistake(TASK, "delimiter and extract have changed places")
def inner_and_outer_exchanged(kind, parts, special, limit):
    return right(kind, parts, (special[0], special[2], special[1]), limit)


@mistake(TASK, "one text is framed by itself, so a pair holds two start tokens")
def framed_one_by_one(kind, parts, special, limit):
    if kind != "entailment":
        return right(kind, parts, special, limit)
    start, delimiter, extract = special
    return [[start, *parts[0], delimiter, start, *parts[1], extract][:limit]]


LOST = "what is too long is cut off at the end, and the extract token with it"


@mistake(TASK, LOST)
def whole_sequence_cut(kind, parts, special, limit):
    return [sequence[:limit] for sequence in right(kind, parts, special, 10**6)]


@mistake(TASK, "what is too long is cut at the end of the second text")
def second_text_cut(kind, parts, special, limit):
    return [s if len(s) <= limit else [*s[: limit - 1], s[-1]] for s in right(kind, parts, special, 10**6)]


@mistake(TASK, "what is too long loses the beginning of its first text")
def beginning_cut(kind, parts, special, limit):
    found = right(kind, parts, special, 10**6)
    return [s if len(s) <= limit else [s[0], *s[1 + len(s) - limit :]] for s in found]


@mistake(TASK, "nothing is cut")
def never_cut(kind, parts, special, limit):
    return right(kind, parts, special, 10**6)


@mistake(TASK, "the limit is taken for the text alone, without the special tokens")
def limit_of_the_text(kind, parts, special, limit):
    return right(kind, parts, special, limit + (2 if kind == "classification" else 3))


@mistake(TASK, "a text is cut one token too early")
def one_too_few(kind, parts, special, limit):
    found = right(kind, parts, special, 10**6)
    return [s if len(s) < limit else right_end(s, special, limit) for s in found]


def right_end(sequence, special, limit):
    """Cut the first text to one below the limit."""
    _, delimiter, _ = special
    end = sequence.index(delimiter) if delimiter in sequence[1:-1] else len(sequence) - 1
    drop = len(sequence) - limit + 1
    return [*sequence[: max(1, end - drop)], *sequence[end:]]


@mistake(TASK, "all answers of a multiple choice stand in one sequence")
def answers_in_one(kind, parts, special, limit):
    if kind != "multiple choice":
        return right(kind, parts, special, limit)
    start, delimiter, extract = special
    return [[start, *parts[0], delimiter, *[t for answer in parts[1:] for t in answer], extract][:limit]]


@mistake(TASK, "the answers of a multiple choice come without their context")
def no_context(kind, parts, special, limit):
    if kind != "multiple choice":
        return right(kind, parts, special, limit)
    return [[special[0], *answer, special[2]] for answer in parts[1:]]


@mistake(TASK, "the context of a multiple choice stands after the answer")
def context_last(kind, parts, special, limit):
    if kind != "multiple choice":
        return right(kind, parts, special, limit)
    start, delimiter, extract = special
    return [[start, *a, delimiter, *parts[0][: limit - 3 - len(a)], extract] for a in parts[1:]]


@mistake(TASK, "the last answer is forgotten")
def last_answer_forgotten(kind, parts, special, limit):
    found = right(kind, parts, special, limit)
    return found[:-1] if kind == "multiple choice" else found


@mistake(TASK, "one list comes back instead of a list of sequences")
def flat(kind, parts, special, limit):
    found = right(kind, parts, special, limit)
    return found[0] if len(found) == 1 else found


@mistake(TASK, "the text is cut by a slice from its end, which goes wrong when nothing has to go")
def negative_slice(kind, parts, special, limit):
    if kind != "classification":
        return right(kind, parts, special, limit)
    over = len(parts[0]) + 2 - limit
    return [[special[0], *parts[0][:-over], special[2]]]


# gpt.TaskHead ----------------------------------------------------------------------------------------------------


class GivenHead(reference.TaskHead):
    """The given constructor, and the right way from the state of each sequence on."""

    def scored(self, found):
        if self.kind == "similarity":
            found = found.unflatten(0, (-1, 2)).mean(1)
        return self.output(found).view(-1, self.n_classes)

    def extract(self, states, lengths):
        return states[torch.arange(len(lengths)), lengths - 1]


FILLED = "the last position is read, which is filling in shorter texts"


@mistake(HEAD, FILLED)
class LastPosition(GivenHead):
    def forward(self, states, lengths):
        return self.scored(states[:, -1])


@mistake(HEAD, FILLED)
class LongestLength(GivenHead):
    def forward(self, states, lengths):
        return self.scored(states[:, int(lengths.max()) - 1])


@mistake(HEAD, "the first position is read, as in BERT, which has seen nothing but itself")
class FirstPosition(GivenHead):
    def forward(self, states, lengths):
        return self.scored(states[:, 0])


@mistake(HEAD, "the mean over positions is read instead of the extract token")
class MeanState(GivenHead):
    def forward(self, states, lengths):
        mask = (torch.arange(states.size(1)) < lengths[:, None])[..., None]
        return self.scored((states * mask).sum(1) / lengths[:, None])


@mistake(HEAD, "the mean over positions is read instead of the extract token")
class MeanOfEverything(GivenHead):
    def forward(self, states, lengths):
        return self.scored(states.mean(1))


@mistake(HEAD, "the position after the extract token is read")
class OneTooFar(GivenHead):
    def forward(self, states, lengths):
        return self.scored(states[torch.arange(len(lengths)), lengths.clamp(max=states.size(1) - 1)])


@mistake(HEAD, "the position before the extract token is read")
class OneTooEarly(GivenHead):
    def forward(self, states, lengths):
        return self.scored(states[torch.arange(len(lengths)), (lengths - 2).clamp(min=0)])


@mistake(HEAD, "the state of one text is read for all of them")
class LengthOfTheFirst(GivenHead):
    def forward(self, states, lengths):
        return self.scored(states[:, lengths[0] - 1])


@mistake(HEAD, "one order of a similarity is read and the other ignored")
class OneOrder(GivenHead):
    def forward(self, states, lengths):
        found = self.extract(states, lengths)
        return self.output(found[::2]) if self.kind == "similarity" else self.scored(found)


@mistake(HEAD, "the two orders of a similarity are added and not averaged")
class SumOfOrders(GivenHead):
    def forward(self, states, lengths):
        found = self.extract(states, lengths)
        return self.output(found.unflatten(0, (-1, 2)).sum(1)) if self.kind == "similarity" else self.scored(found)


@mistake(HEAD, "the two orders of a similarity are added and not averaged")
class SumOfLogits(GivenHead):
    def forward(self, states, lengths):
        scores = self.output(self.extract(states, lengths))
        return scores[::2] + scores[1::2] if self.kind == "similarity" else scores.view(-1, self.n_classes)


@mistake(HEAD, "each order of a similarity is an example of its own")
class OrdersApart(GivenHead):
    def forward(self, states, lengths):
        return self.output(self.extract(states, lengths)).view(-1, self.n_classes)


@mistake(HEAD, "the first half of the batch is paired with the second half")
class HalvesPaired(GivenHead):
    def forward(self, states, lengths):
        found = self.extract(states, lengths)
        if self.kind == "similarity":
            return self.output(found.unflatten(0, (2, -1)).mean(0))
        scores = self.output(found)
        return scores.view(self.n_classes, -1).T if self.kind == "multiple choice" else scores


@mistake(HEAD, "the scores of a multiple choice stay one column")
class OneColumn(GivenHead):
    def forward(self, states, lengths):
        found = self.extract(states, lengths)
        return self.output(found) if self.kind == "multiple choice" else self.scored(found)


@mistake(HEAD, "a softmax is applied already, although the loss will apply one")
class AlreadyNormalised(GivenHead):
    def forward(self, states, lengths):
        return self.scored(self.extract(states, lengths)).softmax(-1)


@mistake(HEAD, "the bias of the output layer is left out")
class NoBias(GivenHead):
    def forward(self, states, lengths):
        found = self.extract(states, lengths)
        if self.kind == "similarity":
            found = found.unflatten(0, (-1, 2)).mean(1)
        return (found @ self.output.weight.T).view(-1, self.n_classes)


@mistake(HEAD, "the states are cut off from the gradient, so that only the head learns", visible=False)
class Frozen(GivenHead):
    def forward(self, states, lengths):
        return self.scored(self.extract(states, lengths).detach())


# gpt.finetune_loss -----------------------------------------------------------------------------------------------


def old(logits, tokens, lengths):
    return reference.next_token_loss(logits, tokens, lengths)


@mistake(JOINT, "λ multiplies the loss of the labels instead of the old one")
def weight_on_the_labels(class_logits, labels, logits, tokens, lengths, weight=0.5):
    return weight * F.cross_entropy(class_logits, labels) + old(logits, tokens, lengths)


@mistake(JOINT, "λ multiplies both losses")
def weight_on_both(class_logits, labels, logits, tokens, lengths, weight=0.5):
    return weight * (F.cross_entropy(class_logits, labels) + old(logits, tokens, lengths))


@mistake(JOINT, "the losses are mixed as (1 − λ)·L2 + λ·L1")
def convex(class_logits, labels, logits, tokens, lengths, weight=0.5):
    return (1 - weight) * F.cross_entropy(class_logits, labels) + weight * old(logits, tokens, lengths)


@mistake(JOINT, "the old loss is subtracted")
def subtracted(class_logits, labels, logits, tokens, lengths, weight=0.5):
    return F.cross_entropy(class_logits, labels) - weight * old(logits, tokens, lengths)


@mistake(JOINT, "λ is ignored and the losses are simply added")
def weight_ignored(class_logits, labels, logits, tokens, lengths, weight=0.5):
    return F.cross_entropy(class_logits, labels) + old(logits, tokens, lengths)


@mistake(JOINT, "λ is always the paper's 0.5, whatever is asked for")
def always_half(class_logits, labels, logits, tokens, lengths, weight=0.5):
    return F.cross_entropy(class_logits, labels) + 0.5 * old(logits, tokens, lengths)


@mistake(JOINT, "the old loss is left out")
def labels_only(class_logits, labels, logits, tokens, lengths, weight=0.5):
    return F.cross_entropy(class_logits, labels)


@mistake(JOINT, "the labels' loss is summed over the batch, the old one averaged")
def labels_summed(class_logits, labels, logits, tokens, lengths, weight=0.5):
    return F.cross_entropy(class_logits, labels, reduction="sum") + weight * old(logits, tokens, lengths)


@mistake(JOINT, "a softmax is applied to the class logits first, and the loss applies another")
def softmax_twice_on_labels(class_logits, labels, logits, tokens, lengths, weight=0.5):
    return F.cross_entropy(class_logits.softmax(-1), labels) + weight * old(logits, tokens, lengths)


@mistake(JOINT, "the filling is predicted as well in the old loss")
def filling_in_the_old_loss(class_logits, labels, logits, tokens, lengths, weight=0.5):
    lm = F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    return F.cross_entropy(class_logits, labels) + weight * lm


@mistake(JOINT, "the old loss is not shifted")
def old_loss_not_shifted(class_logits, labels, logits, tokens, lengths, weight=0.5):
    mask = torch.arange(tokens.size(1)) < lengths[:, None]
    return F.cross_entropy(class_logits, labels) + weight * F.cross_entropy(logits[mask], tokens[mask])


@mistake(JOINT, "the two losses are multiplied")
def multiplied(class_logits, labels, logits, tokens, lengths, weight=0.5):
    return F.cross_entropy(class_logits, labels) * (1 + weight * old(logits, tokens, lengths))


@mistake(JOINT, "the old loss is counted without its gradient", visible=False)
def old_loss_detached(class_logits, labels, logits, tokens, lengths, weight=0.5):
    return F.cross_entropy(class_logits, labels) + weight * old(logits, tokens, lengths).detach()
