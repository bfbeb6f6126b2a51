"""Large imports: the garbage collector is as it was afterwards, whatever happened."""

from __future__ import annotations

import gc

import pytest

from goemo_eval.imports import large_imports


def test_the_collector_rests_and_goes_on() -> None:
    assert gc.isenabled()
    with large_imports():
        assert not gc.isenabled()
        with large_imports():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_goes_on_after_an_import_that_failed() -> None:
    with pytest.raises(ImportError), large_imports():
        raise ImportError
    assert gc.isenabled()
