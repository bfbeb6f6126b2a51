"""How fast this library is beside what people use instead: one table, measured in turns.

Each part runs in a process of its own under the instruction sets that are asked for; contenders of a
ratio take turns in it, so that a slow moment of the machine falls on all of them, and the ratio of
their medians comes with a bootstrap interval over the rounds. What is measured is kept part by part:
the same command goes on where it stopped.
"""
