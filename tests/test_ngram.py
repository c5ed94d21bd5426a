"""N-gram estimation against arithmetic done by hand and against the rules of probability."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.ngram import BOS, EOS, NGramModel, estimate, prune

_VOCABULARY = ("a", "b", "c", "d")
_TEXTS = st.lists(
    st.lists(st.sampled_from((*_VOCABULARY, "x")), max_size=6).map(" ".join), min_size=1, max_size=30
)


def _sums(model: NGramModel) -> list[float]:
    """Total probability after every history of up to two words, seen or unseen."""
    nexts = [at for at in range(len(model.words)) if at != BOS]
    words = [at for at in nexts if at != EOS]
    histories = [[], *([w] for w in [BOS, *words]), *([v, w] for v in [BOS, *words] for w in words)]
    return [sum(10 ** model.log10_probability([*h, w]) for w in nexts) for h in histories]


@settings(max_examples=40)
@given(_TEXTS)
def test_probabilities_sum_to_one_after_every_history(lines: list[str]) -> None:
    """Whatever the text, what may follow a history has probability one in all, also after pruning."""
    model = estimate(lines, _VOCABULARY)
    assert _sums(model) == pytest.approx([1.0] * len(_sums(model)), abs=1e-6)
    pruned = prune(model, 1e-2)
    assert _sums(pruned) == pytest.approx([1.0] * len(_sums(pruned)), abs=1e-6)


def test_bigrams_equal_the_formula_worked_by_hand() -> None:
    """On a text of two lines the probabilities are those that Chen & Goodman's formula gives on paper."""
    # Bigrams: <s> a 2, a b 1, b </s> 1, a </s> 1. Different words before: a 1, b 1, </s> 2.
    # Too little text for counts of counts, so the discounts are .5, 1, 1.5. Uniform: a b <unk> </s>.
    model = estimate(["a b", "a"], ("a", "b"), order=2)
    unigram_a = (1 - 0.5) / 4 + (0.5 + 0.5 + 1.0) / 4 * (1 / 4)
    unigram_end = (2 - 1.0) / 4 + (0.5 + 0.5 + 1.0) / 4 * (1 / 4)
    a, b = 3, 4
    assert 10 ** model.log10_probability([a]) == pytest.approx(unigram_a)
    assert 10 ** model.log10_probability([EOS]) == pytest.approx(unigram_end)
    assert 10 ** model.log10_probability([BOS, a]) == pytest.approx((2 - 1.0) / 2 + 1.0 / 2 * unigram_a)
    assert 10 ** model.log10_probability([a, EOS]) == pytest.approx((1 - 0.5) / 2 + 1.0 / 2 * unigram_end)
    assert 10 ** model.log10_probability([b, a]) == pytest.approx(0.5 / 1 * unigram_a)  # unseen: backs off


def test_discounts_come_from_counts_of_counts() -> None:
    """Where a text has singletons, pairs, triples and fours, D1 is 1 - 2 Y n2 / n1."""
    # Bigrams after <s>: a once, b once, c twice, d three times; each word then ends its line.
    lines = ["a", "b", "c", "c", "d", "d", "d"]
    model = estimate(lines, _VOCABULARY, order=2)
    # Bigram counts 1 1 2 3 (after <s>) and 1 1 2 3 (before </s>): n1 4, n2 2, n3 2, n4 0; Y = 4 / 8.
    d1, d2, d3 = 1 - 2 * 0.5 * 2 / 4, 2 - 3 * 0.5 * 2 / 2, 3.0
    left_over = (2 * d1 + d2 + d3) / 7
    # Different words before: a b c d 1 each, </s> 4; n2 is 0, so .5 1 1.5. Uniform over 6.
    unigram = (1 - 0.5) / 8 + (4 * 0.5 + 1.5) / 8 / 6
    assert 10 ** model.log10_probability([BOS, 3]) == pytest.approx((1 - d1) / 7 + left_over * unigram)
    assert 10 ** model.log10_probability([BOS, 6]) == pytest.approx((3 - d3) / 7 + left_over * unigram)


def test_pruning_keeps_what_surprises() -> None:
    """A bigram that says what its unigram says goes first; one that says more stays."""
    model = estimate(["a b"] * 50 + ["c d"] * 50 + ["a d", "c b"], _VOCABULARY, order=2)
    pruned = prune(model, 1e-2)
    assert len(pruned.orders[1].keys) < len(model.orders[1].keys)
    assert 10 ** pruned.log10_probability([3, 4]) > 0.8


def test_arpa_states_every_ngram_once() -> None:
    """The file names its sizes, writes log10 with three decimals, and ends as the format wants."""
    written = io.StringIO()
    estimate(["a b", "a"], ("a", "b"), order=2).write_arpa(written)
    lines = written.getvalue().splitlines()
    assert lines[:4] == ["\\data\\", "ngram 1=5", "ngram 2=4", ""]
    assert "-0.234\t<s> a" not in lines
    assert any(line.endswith("\t<s> a") for line in lines)
    assert lines[-1] == "\\end\\"
    assert len([line for line in lines if line.startswith("-")]) == 9


def test_perplexity_leaves_unknown_words_out() -> None:
    """Unknown words are counted as such and do not enter the perplexity."""
    perplexity, unknown = estimate(["a b"] * 20, ("a", "b")).perplexity(["a b", "x"])
    assert unknown == pytest.approx(1 / 5)
    assert 1.0 < perplexity < 4.0


def test_counts_are_lines_said_so_often() -> None:
    """A line with a count is as many lines, at every order."""
    lines, counts = ["a b c d", "b d", "a b"], [3, 1, 2]
    repeated = [line for line, count in zip(lines, counts, strict=True) for _ in range(count)]
    for order in (2, 3, 5):
        counted, plain = estimate(lines, _VOCABULARY, order, counts), estimate(repeated, _VOCABULARY, order)
        for one, other in zip(counted.orders, plain.orders, strict=True):
            assert one.keys.tolist() == other.keys.tolist()
            assert one.probability == pytest.approx(other.probability)
            assert one.backoff == pytest.approx(other.backoff)


def test_a_long_history_tells_what_a_short_one_cannot() -> None:
    """At order 5 the first word decides about the fifth, and after an unseen history it backs off."""
    model = estimate(["a b b b c", "d b b b a"] * 50, _VOCABULARY, order=5)
    a, b, c, d = 3, 4, 5, 6
    assert 10 ** model.log10_probability([a, b, b, b, c]) > 0.95
    assert 10 ** model.log10_probability([d, b, b, b, c]) < 0.05
    assert sum(10 ** model.log10_probability([c, b, b, b, w]) for w in (0, 2, a, b, c, d)) == pytest.approx(
        1.0
    )


def test_a_text_shorter_than_the_order_has_no_such_ngrams() -> None:
    """One word between start and end: nothing of length five, and what is there still sums to one."""
    model = estimate(["a"], ("a",), order=5)
    assert [len(order.keys) for order in model.orders] == [4, 2, 1, 0, 0]
    assert sum(10 ** model.log10_probability([BOS, w]) for w in (0, EOS, 3)) == pytest.approx(1.0)
