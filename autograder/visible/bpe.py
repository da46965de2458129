"""Visible checks of the byte-pair chapter: pairs and counts small enough for paper."""
from autograder.checks import checks, same

BYTES = {bytes([i]): i for i in range(256)}


@checks("bpe.merge")
def every_occurrence(merge):
    """Joining (1, 2) in 1 2 3 1 2 gives 9 3 9."""
    same(merge([1, 2, 3, 1, 2], (1, 2), 9), [9, 3, 9], "every occurrence is replaced, the last one too")


@checks("bpe.merge")
def nothing_overlaps(merge):
    """Five equal tokens hold two pairs, from the left, and one is left over."""
    same(merge([7, 7, 7, 7, 7], (7, 7), 9), [9, 9, 7], "a token that is joined is used up: go on by two")


@checks("bpe.merge")
def order_matters(merge):
    """The pair (1, 2) does not stand in 2 1."""
    same(merge([2, 1, 2, 2, 1], (1, 2), 9), [2, 9, 2, 1], "left and right must both match, in this order")


@checks("bpe.merge")
def what_is_not_a_pair_stays(merge):
    """Lists of no or one token, and a last left half, stay as they are."""
    same(merge([], (1, 2), 9), [], "an empty list holds no pair")
    same(merge([1], (1, 2), 9), [1], "one token holds no pair, and must not get lost")
    same(merge([3, 1], (1, 2), 9), [3, 1], "a last token that begins a pair has no right half, and must not get lost")


@checks("bpe.merge")
def the_new_token_is_not_joined_again(merge):
    """What one call makes is not joined again in the same call."""
    same(merge([1, 2, 2], (1, 2), 1), [1, 2], "one pass over the given tokens: the result is not searched again")


@checks("bpe.learn")
def the_commonest_pair_comes_first(learn):
    """In low low lower lowest, `lo` and `ow` are equally common; then `low` is joined."""
    chunks = {b"low": 2, b"lower": 1, b"lowest": 1}
    hint = "l, o, w are 108, 111, 119: (108, 111) comes first, becomes token 256, and 256 stands before w four times"
    same(learn(chunks, 2), [(108, 111), (256, 119)], hint)


@checks("bpe.learn")
def a_chunk_counts_as_often_as_it_occurs(learn):
    """One chunk that occurs five times outweighs three that occur once."""
    same(learn({b"ab": 5, b"cde": 1, b"cdf": 1, b"cdg": 1}, 1), [(97, 98)], "weigh each pair by its chunk's count")


@checks("bpe.learn")
def no_pair_reaches_across_chunks(learn):
    """The end of one chunk and the start of the next are no pair."""
    same(learn({b"ab": 1, b"cb": 1, b"ca": 1}, 9), [(97, 98), (99, 97), (99, 98)], "only neighbours inside a chunk")


@checks("bpe.learn")
def equally_common_pairs(learn):
    """Of pairs that occur equally often the smallest wins, not the first met."""
    hint = "all pairs occur once: (97, 122) is smaller than (98, 97), whatever stands first in the text"
    same(learn({b"zy": 1, b"ba": 1, b"az": 1}, 2), [(97, 122), (98, 97)], hint)


@checks("bpe.learn")
def overlapping_pairs_count(learn):
    """A pair counts at every position where it stands: `aaa` holds `aa` twice."""
    same(learn({b"aaa": 2, b"xy": 3}, 1), [(97, 97)], "2 · 2 positions for aa against 3 for xy")


@checks("bpe.learn")
def counts_follow_the_merges(learn):
    """After a merge, pairs that it used up are gone."""
    hint = "once ab is joined, no b is left before c: count what stands there now, not what stood there at first"
    same(learn({b"abc": 3, b"ab": 1, b"cd": 2}, 3), [(97, 98), (256, 99), (99, 100)], hint)


@checks("bpe.learn")
def it_stops_when_nothing_is_left(learn):
    """Fewer merges come back when each chunk has become one token."""
    same(learn({b"ab": 1, b"c": 4}, 10), [(97, 98)], "a chunk of one token holds no pair")
    same(learn({}, 3), [], "no chunks, no pairs")


@checks("bpe.learn")
def no_merges_wanted(learn):
    """With n_merges = 0 nothing is learned."""
    same(learn({b"ab": 1}, 0), [], "at most n_merges pairs")


@checks("bpe.learn")
def letters_are_bytes(learn):
    """The chunk of ü is two bytes, 195 and 188, and they are a pair."""
    same(learn({"ü".encode(): 2}, 1), [(195, 188)], "iterate over the bytes; a character can be several")


RANKS = BYTES | {b"bc": 256, b"ab": 257, b"cd": 258}


@checks("bpe.encode_chunk")
def the_lowest_rank_first(encode_chunk):
    """In `abcd`, `bc` was learned before `ab` and `cd`, so it is joined first: the result is a, bc, d."""
    hint = "bc (256) goes first and uses up b and c; from left to right, or longest first, ab and cd would come out"
    same(encode_chunk(b"abcd", RANKS), [97, 256, 100], hint)


@checks("bpe.encode_chunk")
def rank_beats_position(encode_chunk):
    """In `bcd` and `abd` the lowest rank is looked for anew each time."""
    same(encode_chunk(b"bcd", RANKS), [256, 100], "bc (256) and cd (258) share the c: the lower number wins")
    same(encode_chunk(b"abd", RANKS), [257, 100], "ab is joined here, because no bc stands in the way")


@checks("bpe.encode_chunk")
def rank_beats_length(encode_chunk):
    """A piece that would be longer does not come first."""
    ranks = BYTES | {b"ab": 256, b"bcd": 257, b"bc": 258, b"bcde": 259}
    same(encode_chunk(b"abcde", ranks), [256, 99, 100, 101], "ab (256) takes the b before any bcde can be made")


@checks("bpe.encode_chunk")
def leftmost_first(encode_chunk):
    """Of equal pairs the leftmost is joined first."""
    same(encode_chunk(b"aaa", BYTES | {b"aa": 256}), [256, 97], "aaa is aa + a")


@checks("bpe.encode_chunk")
def joined_until_nothing_fits(encode_chunk):
    """Joining goes on with what was joined."""
    ranks = BYTES | {b"aa": 256, b"aaaa": 257}
    same(encode_chunk(b"aaaaaa", ranks), [257, 256], "repeat until no two neighbours together are a piece")


@checks("bpe.encode_chunk")
def numbers_come_from_the_table(encode_chunk):
    """The number of a byte is what the vocabulary says, as in GPT-2, where `!` is 0."""
    ranks = {bytes([i]): (i - 33) % 256 for i in range(256)} | {b"!!": 256}
    same(encode_chunk(b"a!!", ranks), [64, 256], "look single bytes up in ranks as well")
    same(encode_chunk(b"", ranks), [], "an empty chunk has no tokens")


PIECES = {0: b"low", 1: b"er", 2: b"\xc3", 3: b"\xbc", 4: b"\xf0\x9f", 5: b"\x99\x82", 6: b" "}


@checks("bpe.decode")
def pieces_are_joined(decode):
    """The pieces stand one after the other, with nothing between them."""
    same(decode([0, 1, 6, 0], PIECES), "lower low", "spaces are part of the pieces: put none between them")


@checks("bpe.decode")
def a_character_of_two_tokens(decode):
    """Bytes of one character can lie in two tokens: join first, decode afterwards."""
    same(decode([2, 3, 4, 5], PIECES), "ü🙂", "join the bytes of all tokens, then decode them once")


@checks("bpe.decode")
def half_a_character(decode):
    """A model may write half a character: it is shown as �, not an error."""
    same(decode([0, 2], PIECES), "low\ufffd", 'errors="replace" shows what is no UTF-8')
    same(decode([3, 1, 2, 1], PIECES), "\ufffder\ufffder", "each broken byte is shown, and what is whole stays")


@checks("bpe.decode")
def no_tokens(decode):
    """No tokens give no text."""
    same(decode([], PIECES), "", "an empty list gives an empty text")


END = "<|endoftext|>"


@checks("bpe.split_special")
def a_special_token_stands_alone(split_special):
    """`a<|endoftext|>b` is three parts, and the middle one is the special token."""
    hint = "the special token itself is a part: keep it when you cut (a group in the pattern keeps it)"
    same(split_special(f"a{END}b", [END]), ["a", END, "b"], hint)


@checks("bpe.split_special")
def every_one_of_them(split_special):
    """All special tokens are found, and no part is empty."""
    same(split_special(f"{END}{END} a{END}", [END]), [END, END, " a", END], "no empty part between, before or behind")


@checks("bpe.split_special")
def its_marks_are_only_text(split_special):
    """The bar in `<|x|>` is a bar, not the "or" of a pattern."""
    same(split_special("x < y > x.", ["<|x|>", "."]), ["x < y > x", "."], "escape what has a meaning in patterns")


@checks("bpe.split_special")
def the_longest_counts(split_special):
    """Where `<a>` and `<a>!` both begin, the longer one is taken."""
    same(split_special("<a>!<a>", ["<a>", "<a>!"]), ["<a>!", "<a>"], "try the longest first, whatever the order given")


@checks("bpe.split_special")
def nothing_special(split_special):
    """Without special tokens the text is one part, and an empty text has none."""
    same(split_special("a b", []), ["a b"], "nothing to look for: the text stays whole")
    same(split_special("", [END]), [], "an empty text has no parts")
