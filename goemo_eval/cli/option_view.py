"""The model of a run's options as options of a command."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Annotated, Any

import typer

from goemo_eval.options import View, views


def takes_options(leave_out: Collection[str] = ()) -> Callable[[Callable[..., Any]], Any]:
    """Give a command the fields of `goemo_eval.options.Options` as options.

    Parameters
    ----------
    leave_out : collection of str
        Fields that the command sets itself.

    Returns
    -------
    callable
        A decorator. The command's own parameters come first; the fields arrive in ``**given``, None where
        the command line did not set them.
    """

    def decorate(command: Callable[..., Any]) -> Any:
        own = [
            parameter
            for parameter in inspect.signature(command, eval_str=True).parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        added = [_parameter(view) for view in views() if view.name not in leave_out]
        signature = inspect.Signature([*own, *added])

        def with_options(**values: Any) -> Any:
            return command(**values)

        with_options.__signature__ = signature  # type: ignore[attr-defined]
        with_options.__annotations__ = {p.name: p.annotation for p in [*own, *added]}
        with_options.__name__, with_options.__doc__ = command.__name__, command.__doc__
        return with_options

    return decorate


def _parameter(view: View) -> inspect.Parameter:
    kind: Any = str | None
    if view.flag:
        kind = bool | None
    elif view.repeatable:
        kind = list[str] | None
    # Shown in the help; the model checks the value, so that every view refuses alike.
    option = typer.Option(f"--{view.option}", help=view.help, metavar=view.metavar)
    return inspect.Parameter(
        view.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option]
    )
