"""How often the gate cries wolf, finds a loss, and says what it can find: where the truth is known.

    python -m bench.gate --out reports/gate

Texts are drawn, and so are models whose true scores follow from the normal distribution: see `world`.
Every part is a question put to the gate's own functions; what is drawn is kept, so that the same command
goes on from there.
"""
