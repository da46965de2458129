"""Other right ways to write the byte-pair exercises."""
import codecs
import re
from collections import Counter
from itertools import pairwise

from autograder.alternatives import alternative
from gptlib import bpe as reference


@alternative("bpe.merge", "compare slices")
def merge_slices(tokens, pair, new):
    out, i = [], 0
    while i < len(tokens):
        hit = tuple(tokens[i : i + 2]) == tuple(pair)
        out.append(new if hit else tokens[i])
        i += 2 if hit else 1
    return out


@alternative("bpe.merge", "an iterator that looks one ahead")
def merge_ahead(tokens, pair, new):
    out, skip = [], False
    for i, token in enumerate(tokens):
        if skip:
            skip = False
        elif token == pair[0] and tokens[i + 1 : i + 2] == [pair[1]]:
            out.append(new)
            skip = True
        else:
            out.append(token)
    return out


@alternative("bpe.merge", "replace in a copy")
def merge_copy(tokens, pair, new):
    out, i = list(tokens), 0
    while i < len(out) - 1:
        if (out[i], out[i + 1]) == pair:
            out[i : i + 2] = [new]
        i += 1
    return out


def plain(chunks, n_merges, choose):
    words, merges = [(list(c), t) for c, t in chunks.items()], []
    while len(merges) < n_merges:
        counts = Counter()
        for word, times in words:
            for pair in pairwise(word):
                counts[pair] += times
        if not counts:
            break
        merges.append(choose(counts))
        words = [(merge_slices(w, merges[-1], 255 + len(merges)), t) for w, t in words]
    return merges


@alternative("bpe.learn", "count anew for each merge, the best by max")
def learn_max(chunks, n_merges):
    return plain(chunks, n_merges, lambda counts: max(counts, key=lambda p: (counts[p], -p[0], -p[1])))


@alternative("bpe.learn", "count anew, the smallest of the commonest")
def learn_commonest(chunks, n_merges):
    return plain(chunks, n_merges, lambda counts: min(p for p in counts if counts[p] == max(counts.values())))


@alternative("bpe.learn", "keep an index, look through all counts")
def learn_index(chunks, n_merges):
    index, merges = reference.PairIndex(chunks), []
    while len(merges) < n_merges and any(index.counts.values()):
        merges.append(min(index.counts, key=lambda pair: (-index.counts[pair], pair)))
        index.join(merges[-1], 255 + len(merges))
    return merges


@alternative("bpe.encode_chunk", "all pairs looked up again each time")
def encode_again(chunk, ranks):
    pieces = [bytes([byte]) for byte in chunk]
    while True:
        known = [(ranks[a + b], i) for i, (a, b) in enumerate(pairwise(pieces)) if a + b in ranks]
        if not known:
            return [ranks[piece] for piece in pieces]
        i = min(known)[1]
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]


@alternative("bpe.encode_chunk", "borders between pieces")
def encode_borders(chunk, ranks):
    cuts = list(range(len(chunk) + 1))
    while True:
        rank, at = min(
            ((ranks.get(chunk[cuts[i] : cuts[i + 2]], 1e18), i) for i in range(len(cuts) - 2)), default=(1e18, 0)
        )
        if rank == 1e18:
            return [ranks[chunk[a:b]] for a, b in pairwise(cuts)]
        del cuts[at + 1]


@alternative("bpe.encode_chunk", "recursion")
def encode_recursive(chunk, ranks):
    def step(pieces):
        known = [i for i in range(len(pieces) - 1) if pieces[i] + pieces[i + 1] in ranks]
        if not known:
            return [ranks[piece] for piece in pieces]
        i = min(known, key=lambda j: ranks[pieces[j] + pieces[j + 1]])
        return step([*pieces[:i], pieces[i] + pieces[i + 1], *pieces[i + 2 :]])

    return step([chunk[i : i + 1] for i in range(len(chunk))])


@alternative("bpe.decode", "a bytearray that grows")
def decode_grow(tokens, pieces):
    data = bytearray()
    for token in tokens:
        data += pieces[token]
    return str(data, "utf-8", "replace")


@alternative("bpe.decode", "an incremental decoder")
def decode_incremental(tokens, pieces):
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return "".join(decoder.decode(pieces[token]) for token in tokens) + decoder.decode(b"", final=True)


@alternative("bpe.decode", "byte by byte")
def decode_bytes(tokens, pieces):
    return bytes(byte for token in tokens for byte in pieces[token]).decode(errors="replace")


@alternative("bpe.split_special", "position after position")
def special_scan(text, special):
    parts, plain, i = [], "", 0
    while i < len(text):
        mark = max((m for m in special if text.startswith(m, i)), key=len, default=None)
        if mark is None:
            plain += text[i]
            i += 1
        else:
            parts += [plain, mark]
            plain, i = "", i + len(mark)
    return [part for part in [*parts, plain] if part]


@alternative("bpe.split_special", "the matches and what lies between")
def special_matches(text, special):
    if not special:
        return [text] if text else []
    parts, end = [], 0
    for match in re.finditer("|".join(re.escape(m) for m in sorted(special, key=len)[::-1]), text):
        parts += [text[end : match.start()], match[0]]
        end = match.end()
    return list(filter(None, [*parts, text[end:]]))


@alternative("bpe.split_special", "find the next one, recursively")
def special_recursive(text, special):
    found = [(text.index(m), -len(m)) for m in special if m in text]
    if not found:
        return [text] if text else []
    at, length = min(found)
    head = [text[:at]] if at else []
    return [*head, text[at : at - length], *special_recursive(text[at - length :], special)]
