"""What learners see checked of GPT-1: numbers that can be worked out on paper."""
import math

import torch
from torch import Tensor

from autograder.calls import loaded, part_of, zeroed
from autograder.checks import checks, same
from autograder.inputs import real

LN3, LN9 = math.log(3), math.log(9)
S, D, E = 100, 101, 102  # start, delimiter, extract


def block_of(Block, width: int, d_ff: int = 1, **weights: Tensor):
    """A float64 block: attention and feed-forward network give 0 unless weights are given; norms begin as such."""
    return zeroed(Block, weights, width, 1, d_ff)


@checks("gpt.Block")
def the_sum_is_normalised_not_the_input(Block):
    """Each LayerNorm acts on the sum of a sublayer's input and its output (post-norm)."""
    block = block_of(
        Block, 2, attention_norm__weight=real([10, 10]), attention_norm__bias=real([1, 3]),
        feed_forward_norm__weight=real([5, 7]), attention__output__bias=real([4, 0]), down__bias=real([0, 30]),
    )
    hint = (
        "Attention gives (4, 0) everywhere here and the feed-forward network (0, 30). (1, 2) + (4, 0) = (5, 2) is "
        "normalised to (1, −1), then scaled and shifted to (11, −7); + (0, 30) gives (11, 23), normalised (−1, 1), "
        "scaled (−5, 7). Where do your norms stand: before the sublayer, or after the sum?"
    )
    eps = 1e-5
    first = real([5, 2]) - 3.5
    first = 10 * first / math.sqrt(1.5**2 + eps) + real([1, 3]) + real([0, 30])
    second = (first - first.mean()) / torch.sqrt((first - first.mean()).square().mean() + eps)
    same(block(real([[[1, 2]]])), (second * real([5, 7]))[None, None], hint)


@checks("gpt.Block")
def no_position_sees_the_future(Block):
    """Attention runs under the causal mask: position t sees positions 0 … t."""
    eye = torch.eye(2).double()
    block = block_of(Block, 2, attention__value__weight=eye, attention__output__weight=eye)
    x = real([[[3, 1], [1, 3], [-9, 9]]])
    hint = (
        "All attention scores are equal here, so position 0 gets its own value (3, 1), position 1 the mean (2, 2) and "
        "position 2 the mean of all three. With sums (6, 2), (3, 5) and so on the signs are + −, − +, − +."
    )
    sums = x + real([[[3, 1], [2, 2], [-5 / 3, 13 / 3]]])
    for _ in range(2):
        centred = sums - sums.mean(-1, keepdim=True)
        sums = centred / torch.sqrt(centred.square().mean(-1, keepdim=True) + 1e-5)
    same(block(x), sums, hint)
    same(block(x[:, :1]), sums[:, :1], "One position alone gives what it gives at the head of a longer text.")


@checks("gpt.Block")
def between_up_and_down_stands_gelu(Block):
    """The feed-forward network is down(gelu(up(x))), with the tanh form of GELU."""
    block = block_of(
        Block, 2, 3, up__weight=real([[1, 0], [0, 1], [2, 0]]), up__bias=real([0, 0, 0.5]),
        down__weight=real([[4, 0, 1], [0, 3, 0]]), down__bias=real([0, 0.2]),
    )

    def curve(x: float) -> float:
        return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    one = 2 / math.sqrt(4 + 1e-5)
    sums = real([one + 4 * curve(one) + curve(2 * one + 0.5), -one + 3 * curve(-one) + 0.2])
    centred = sums - sums.mean()
    expected = centred / torch.sqrt(centred.square().mean() + 1e-5)
    # A norm of two numbers is ±1 whatever they are, so look at the first norm's scale as well: shrink it.
    small = block_of(
        Block, 2, 3, attention_norm__weight=real([0.01, 0.01]), up__weight=real([[50, 0], [0, 50], [90, 0]]),
        down__weight=real([[0.002, 0, 0.001], [0, 0.003, 0]]),
    )
    little = one * 0.01
    tiny = real([
        little + 0.002 * curve(50 * little) + 0.001 * curve(90 * little), -little + 0.003 * curve(-50 * little)
    ])  # fmt: skip
    tiny = (tiny - tiny.mean()) / torch.sqrt((tiny - tiny.mean()).square().mean() + 1e-5)
    hint = "Use the given `gelu` on what `up` gives, and `down` on that; its input is the normalised sum."
    same(block(real([[[5, 1]]])), expected[None, None], hint)
    same(small(real([[[5, 1]]])), tiny[None, None], hint)


@checks("gpt.Block")
def both_residual_paths_are_there(Block):
    """What comes in is added to what each sublayer gives."""
    block = block_of(Block, 3)
    x = real([[[1, 2, 6], [0, 4, 2]]])
    centred = x - x.mean(-1, keepdim=True)
    once = centred / torch.sqrt(centred.square().mean(-1, keepdim=True) + 1e-5)
    twice = once / torch.sqrt(once.square().mean(-1, keepdim=True) + 1e-5)
    same(block(x), twice, "Both sublayers give 0 here, so x must come through, normalised. Is x added in both places?")


@checks("gpt.Block")
def dropout_acts_in_training_only(Block):
    """In training, `dropout` acts on each sublayer's output, never on the path that goes around it."""
    block = block_of(Block, 2, attention__output__bias=real([0, 2]), down__bias=real([8, 0]))
    part_of(block, "dropout").p = 1.0
    out = block.train()(real([[[3, 1]]]))
    hint = "With everything dropped, both sublayers add nothing: the input must still come through, normalised twice."
    once = 1 / math.sqrt(1 + 1e-5)
    same(out, real([[[1, -1]]]) * once / math.sqrt(once**2 + 1e-5), hint)


def sure(rows: list) -> Tensor:
    """Logits of 3 tokens that give one of them 9/11 and the others 1/11 each."""
    return torch.stack([LN9 * torch.eye(3, dtype=torch.float64)[row] for row in rows])


@checks("gpt.next_token_loss")
def the_target_is_the_next_token(next_token_loss):
    """The logits at position t are for the token at t + 1; the last logits predict nothing."""
    tokens = torch.tensor([[2, 0, 1]])
    hint = (
        "Position 0 predicts the token at 1, position 1 the token at 2. Here both are given 9/11, so the mean is "
        "ln(11/9). Do the logits at t look at the token at t + 1?"
    )
    same(next_token_loss(sure([[0, 1, 2]]), tokens, torch.tensor([3])), real(math.log(11 / 9)), hint)
    same(next_token_loss(sure([[0, 1, 0]]), tokens, torch.tensor([3])), real(math.log(11 / 9)),
         "Only the last logits changed: no token of the text comes after them, so they must not count.")  # fmt: skip
    mixed = next_token_loss(sure([[0, 2, 2]]), tokens, torch.tensor([3]))
    same(mixed, real((math.log(11 / 9) + math.log(11)) / 2), "One right (9/11) and one wrong (1/11): the mean of both.")


@checks("gpt.next_token_loss")
def the_filling_does_not_count(next_token_loss):
    """Tokens beyond a text's length are neither predicted nor counted."""
    tokens = torch.tensor([[1, 2, 0, 0], [0, 1, 2, 0]])
    logits = sure([[2, 1, 1, 1], [0, 2, 0, 1]])
    hint = (
        "Text 0 has length 2: one prediction, right (9/11). Text 1 has length 4: three predictions, wrong (1/11), "
        "right, right. The mean is over these 4 predictions; the filling of text 0 is not among them. The token 0 is a "
        "token like any other."
    )
    expected = real((3 * math.log(11 / 9) + math.log(11)) / 4)
    same(next_token_loss(logits, tokens, torch.tensor([2, 4])), expected, hint)


@checks("gpt.next_token_loss")
def every_token_weighs_the_same(next_token_loss):
    """The mean is over all predicted tokens of the batch, not over texts."""
    tokens = torch.tensor([[1, 2, 0, 0], [0, 1, 2, 0], [1, 0, 0, 0]])
    logits = sure([[0, 1, 1, 1], [1, 2, 0, 1], [1, 1, 1, 1]])
    hint = (
        "The text of 2 has one prediction, wrong; the text of 4 has three, all right; the text of 1 has none. "
        "A quarter of all predictions is wrong."
    )
    expected = real((3 * math.log(11 / 9) + math.log(11)) / 4)
    same(next_token_loss(logits, tokens, torch.tensor([2, 4, 1])), expected, hint)


@checks("gpt.next_token_loss")
def knowing_nothing_costs_the_log_of_the_vocabulary(next_token_loss):
    """Equal logits give ln V, and only differences of logits matter."""
    tokens = torch.tensor([[3, 1, 4, 1, 5, 2, 6]])
    hint = "Seven tokens, all equally likely: ln 7. Is the softmax over the vocabulary, the last axis, and once only?"
    for size in (0.0, 5.0, 1e4):
        same(next_token_loss(torch.full((1, 7, 7), size).double(), tokens, torch.tensor([7])), real(math.log(7)), hint)


@checks("gpt.format_task")
def one_text_stands_between_start_and_extract(format_task):
    """classification: start, text, extract."""
    hint = "start first, extract last, and nothing between but the text."
    same(format_task("classification", [[1, 2, 3]], (S, D, E), 9), [[S, 1, 2, 3, E]], hint)


@checks("gpt.format_task")
def the_delimiter_stands_between_two_texts(format_task):
    """entailment: start, premise, delimiter, hypothesis, extract, in this order only."""
    hint = "One sequence: the premise, the delimiter, the hypothesis, framed by start and extract."
    same(format_task("entailment", [[1, 2], [3]], (S, D, E), 9), [[S, 1, 2, D, 3, E]], hint)


@checks("gpt.format_task")
def similar_texts_come_in_both_orders(format_task):
    """similarity: neither text is first by nature, so both orders are written."""
    hint = "Two sequences: first then second text, and second then first."
    same(format_task("similarity", [[1, 2], [3]], (S, D, E), 9), [[S, 1, 2, D, 3, E], [S, 3, D, 1, 2, E]], hint)


@checks("gpt.format_task")
def every_answer_gets_the_context(format_task):
    """Multiple choice: one sequence for each answer, the context before it."""
    hint = "As many sequences as answers; the context is parts[0] and stands in front of every answer."
    expected = [[S, 1, 2, D, 3, E], [S, 1, 2, D, 4, 5, E], [S, 1, 2, D, 6, E]]
    same(format_task("multiple choice", [[1, 2], [3], [4, 5], [6]], (S, D, E), 9), expected, hint)


@checks("gpt.format_task")
def what_is_too_long_loses_the_end_of_its_first_text(format_task):
    """Only the first text of a sequence is cut, at its end; the extract token always stays last."""
    hint = "The head reads the extract token: cut the first text before you put the sequence together."
    same(format_task("classification", [[1, 2, 3, 4, 5]], (S, D, E), 5), [[S, 1, 2, 3, E]], hint)
    same(format_task("classification", [[1, 2, 3]], (S, D, E), 5), [[S, 1, 2, 3, E]], "It just fits.")
    same(format_task("entailment", [[1, 2, 3, 4], [5, 6]], (S, D, E), 7), [[S, 1, 2, D, 5, 6, E]], hint)
    hint = "In the second order the other text stands first, and is the one that is cut."
    expected = [[S, 1, D, 5, 6, E], [S, 5, 6, D, 1, E]]
    same(format_task("similarity", [[1], [5, 6]], (S, D, E), 6), expected, "Just enough room: nothing is cut.")
    expected = [[S, 1, 2, D, 5, 6, 7, E], [S, 5, 6, 7, D, 1, 2, E]]
    same(format_task("similarity", [[1, 2], [5, 6, 7]], (S, D, E), 8), expected, hint)
    expected = [[S, 1, D, 5, 6, 7, E], [S, 5, 6, D, 1, 2, E]]
    same(format_task("similarity", [[1, 2], [5, 6, 7]], (S, D, E), 7), expected, hint)
    expected = [[S, 1, D, 5, 6, E], [S, 1, 2, D, 7, E]]
    hint = "A long answer leaves less room for the context, in its own sequence only."
    same(format_task("multiple choice", [[1, 2, 3], [5, 6], [7]], (S, D, E), 6), expected, hint)
    expected = [[S, D, 5, 6, E], [S, D, 7, 8, E]]
    hint = "No room for the context at all: nothing of it is left, and the rest stands."
    same(format_task("multiple choice", [[1, 2, 3], [5, 6], [7, 8]], (S, D, E), 5), expected, hint)


def head_of(TaskHead, kind: str, weight: list, bias: list, n_classes: int):
    """A float64 head with these weights."""
    state = {"output.weight": real(weight), "output.bias": real(bias)}
    return loaded(TaskHead, state, kind, len(weight[0]), n_classes)


STATES = real([[[1, 0], [2, 5], [9, 9]], [[4, 4], [7, 7], [3, 1]]])


@checks("gpt.TaskHead")
def the_head_reads_the_extract_token(TaskHead):
    """The state of the last real token is read: of a text of length n, the one at n − 1."""
    head = head_of(TaskHead, "classification", [[1, 0], [0, 1], [1, 1]], [0, 0, 100], 3)
    hint = (
        "Text 0 has length 2, so its extract token stands at 1, with the state (2, 5); text 1 has length 3 and the "
        "state (3, 1). The classes here are x, y and x + y + 100."
    )
    same(head(STATES, torch.tensor([2, 3])), real([[2, 5, 107], [3, 1, 104]]), hint)
    same(head(STATES, torch.tensor([1, 1])), real([[1, 0, 101], [4, 4, 108]]), "Texts of one token: the first state.")


@checks("gpt.TaskHead")
def entailment_has_one_sequence_an_example(TaskHead):
    """Entailment works like classification: two texts, but one sequence."""
    head = head_of(TaskHead, "entailment", [[1, 0], [0, 1]], [0, 1], 2)
    same(head(STATES, torch.tensor([2, 3])), real([[2, 6], [3, 2]]), "Two sequences are two examples here.")


@checks("gpt.TaskHead")
def similarity_averages_both_orders(TaskHead):
    """similarity: the states of the two orders of an example are averaged; their order has no say."""
    head = head_of(TaskHead, "similarity", [[1, 0], [0, 1]], [10, 20], 2)
    hint = "States (2, 5) and (3, 1) belong to ONE example; their mean is (2.5, 3). The bias counts once."
    same(head(STATES, torch.tensor([2, 3])), real([[12.5, 23]]), hint)
    both = torch.cat([STATES, STATES.flip(0)])
    hint = "Sequences 0 and 1 are the first example, 2 and 3 the second."
    same(head(both, torch.tensor([2, 3, 3, 1])), real([[12.5, 23], [12, 20.5]]), hint)


@checks("gpt.TaskHead")
def each_answer_gets_one_score(TaskHead):
    """Multiple choice: one score a sequence; the answers of an example stand side by side."""
    head = head_of(TaskHead, "multiple choice", [[1, 10]], [0.5], 2)
    states = torch.cat([STATES, STATES + 1, STATES + 2])
    hint = "Six sequences of two answers each are three examples: scores of sequences 0 and 1, of 2 and 3, of 4 and 5."
    expected = real([[52.5, 13.5], [63.5, 24.5], [74.5, 35.5]])
    same(head(states, torch.tensor([2, 3] * 3)), expected, hint)


TOKENS, LENGTHS = torch.tensor([[2, 0, 1], [1, 2, 0]]), torch.tensor([3, 2])
LOGITS = sure([[0, 1, 2], [1, 0, 0]])  # right, right; wrong
L1 = (2 * math.log(11 / 9) + math.log(11)) / 3


@checks("gpt.finetune_loss")
def without_the_old_loss_only_labels_count(finetune_loss):
    """λ = 0 leaves L2, the mean −log probability of the right labels."""
    hint = "The right labels have probabilities 3/4 and 1/4: the mean of ln(4/3) and ln 4. Is it from logits, once?"
    loss = finetune_loss(real([[0, LN3], [0, LN3]]), torch.tensor([1, 0]), LOGITS, TOKENS, LENGTHS, 0.0)
    same(loss, real((math.log(4 / 3) + math.log(4)) / 2), hint)


@checks("gpt.finetune_loss")
def the_old_loss_is_added_with_its_weight(finetune_loss):
    """L3 = L2 + λ·L1, with λ on the language model's loss."""
    class_logits, labels = real([[0, LN3], [0, LN3]]), torch.tensor([1, 1])
    hint = "L2 is ln(4/3) here; L1 is (2·ln(11/9) + ln 11) / 3, the loss of next_token_loss. λ belongs to L1."
    loss = finetune_loss(class_logits, labels, LOGITS, TOKENS, LENGTHS, 2.0)
    same(loss, real(math.log(4 / 3) + 2 * L1), hint)
    loss = finetune_loss(class_logits, labels, LOGITS, TOKENS, LENGTHS)
    same(loss, real(math.log(4 / 3) + 0.5 * L1), "Without a weight, λ is the paper's 0.5.")


@checks("gpt.finetune_loss")
def classes_and_sequences_may_differ_in_number(finetune_loss):
    """One example may be written as several sequences: a mean over examples and one over tokens, then the sum."""
    loss = finetune_loss(real([[LN3, 0, 0]]), torch.tensor([0]), LOGITS, TOKENS, LENGTHS, 1.0)
    same(loss, real(math.log(5 / 3) + L1), "One example with 3 classes (3/5 for the right one), two sequences.")
