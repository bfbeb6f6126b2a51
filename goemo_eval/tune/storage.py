"""Where a study is kept: a database that any number of workers share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from goemo_eval.errors import TuneError

if TYPE_CHECKING:
    import optuna

_ATTEMPTS, _PAUSE_S = 8, 0.25


def open_storage(
    url: str,
    *,
    heartbeat_s: int,
    when_lost: Callable[[optuna.Study, optuna.trial.FrozenTrial], None],
) -> optuna.storages.RDBStorage:
    """Open a database of studies, and make its tables where they are missing.

    Parameters
    ----------
    url : str
        Of SQLAlchemy's, such as ``sqlite:////srv/studies.db``.
    heartbeat_s : int
        Seconds between a worker's signs of life.
    when_lost : callable
        Called with a study and its trial whose worker gave no more of them.

    Raises
    ------
    TuneError
        If it is out of reach.
    """
    import optuna
    from sqlalchemy.exc import IntegrityError, SQLAlchemyError
    from sqlalchemy.pool import NullPool

    # A file is waited for; a server's connections are not kept through epochs in which it may restart.
    sqlite = url.startswith("sqlite")
    how: dict[str, Any] = {"connect_args": {"timeout": 60}} if sqlite else {"poolclass": NullPool}
    left = _ATTEMPTS
    while True:
        left -= 1
        try:
            return optuna.storages.RDBStorage(
                url,
                engine_kwargs=how,
                heartbeat_interval=heartbeat_s,
                heartbeat_stale_trial_callback=when_lost,
            )
        except (SQLAlchemyError, ImportError, optuna.exceptions.StorageInternalError) as error:
            # Of workers that meet an empty database at once, all but one are told that a table is there.
            raced = isinstance(error, IntegrityError) or "already exists" in str(error)
            if not (raced and left):
                raise out_of_reach(url, error) from None
        time.sleep(_PAUSE_S)


def out_of_reach(url: str, error: Exception) -> TuneError:
    """Return the error of a database that cannot be used, without the URL's password."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        shown = make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        shown = url
    mend = "pass another --storage"
    if isinstance(error, ImportError):
        mend = (
            "install its driver (of PostgreSQL's: pip install 'goemo-eval[postgresql]'), or " + mend
        )
    why = str(error).splitlines()[0]
    return TuneError(f"storage {shown}: out of reach ({why}): {mend}")
