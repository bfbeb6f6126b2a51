"""What the gate says of alpha, in words."""

from __future__ import annotations

from goemo_eval.judge.verdict import SeedVerdict, Verdict


def shared(together: int, horizon: int | None) -> str:
    """Return what alpha is shared by, as in ``for 12 comparisons and 200 runs together``; or nothing."""
    scope = [f"{together} comparisons"] if together > 1 else []
    if horizon is not None:
        scope.append(f"{horizon:,} runs")
    return f" for {' and '.join(scope)} together" if scope else ""


def how_sure(alpha: float, together: int, horizon: int | None) -> str:
    """Return how sure a bound is, as in ``95% sure for 12 comparisons together``."""
    return f"{100 * (1 - alpha):.4g}% sure{shared(together, horizon)}"


def so_far(verdict: Verdict) -> str:
    """Return how often the test split has judged, and what that makes of alpha; empty if unknown."""
    if verdict.judged is None:
        return ""
    runs = verdict.judged + 1
    if verdict.horizon is not None:
        if runs > verdict.horizon:
            return (
                f"the horizon is used up: this is run {runs:,} on this test split, and alpha was planned for "
                f"{verdict.horizon:,}; take texts that have not judged yet, or plan a longer --horizon"
            )
        return f"run {runs:,} of the {verdict.horizon:,} that alpha is planned for, as far as they were counted"
    if runs == 1:
        return "no run of the gate was counted on this test split before"
    expected = verdict.alpha * runs
    cells = " and cell" if verdict.per_cell else ""
    return (
        f"run {runs:,} on this test split, as far as they were counted: at alpha {verdict.alpha:g} a run{cells}, up "
        f"to {expected:.2g} false alarms{' a cell' if cells else ''} were to be expected by now (chance of any: up to "
        f"{min(expected, 1):.0%}); --horizon plans for that"
    )


def of_seeds(seeds: SeedVerdict, *, alpha: float) -> str:
    """Return whether a recipe is worse, what its seeds can tell, and how many would tell more."""
    larger = "larger than" if seeds.larger_than_reseeding else "not larger than"
    pairs = "paired seeds" if seeds.paired else "seeds a side, not paired"
    found = "so the recipe is worse" if seeds.worse else "so it is not proven worse"
    needed = (
        f"about {seeds.seeds_needed} seeds a side"
        if seeds.seeds_needed is not None
        else "more texts; no number of seeds would do"
    )
    only = "only large drops" if seeds.detectable_drop > seeds.wanted_drop else "drops"
    return (
        f"{seeds.cell}: is the recipe worse? mean drop {seeds.drop:+z.4f} over {seeds.seeds} {pairs}, {larger} what "
        f"reseeding alone does (a run varies by {seeds.reseeding:.4f}; p {seeds.p_value:.3f}); whatever the seed and "
        f"the texts, it lies from {seeds.least_drop:+z.4f} to {seeds.most_drop:+z.4f} ({how_sure(alpha, 1, None)} of each "
        f"end), {found}. With {seeds.seeds} seeds {only}, from {seeds.detectable_drop:.3f} on, can be told; one of "
        f"{seeds.wanted_drop:g} takes {needed} (arXiv:2511.19794)"
    )
