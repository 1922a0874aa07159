"""Whatever comes from outside, made up by the thousand: one property each, and the same few examples in ``make test``.

A module here takes one edge. Its tests are written so::

    from tests.fuzz.examples import examples
    from tests.fuzz.hostile import texts

    @examples(200)
    @given(texts())
    def test_a_text_is_read_or_refused(text: str) -> None: ...

``make test`` runs each with its 200 examples, the same at every run. ``make fuzz MINUTES=30`` runs all of them in
rounds, each with a seed of its own, which it prints, and twenty times the examples; it stops at the first failure.
``make fuzz SEED=17`` runs the one round of that seed.
"""
