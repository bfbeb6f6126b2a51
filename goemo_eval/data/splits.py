"""Moved to `goemo_eval.data.dataset`."""

from goemo_eval.data.dataset import SPLIT_NAMES as SPLIT_NAMES
from goemo_eval.data.dataset import Split as Split
from goemo_eval.data.dataset import subset as subset
