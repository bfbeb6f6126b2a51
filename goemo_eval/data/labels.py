"""Moved to `goemo_eval.data.goemotions`."""

from goemo_eval.data.goemotions import EMOTIONS as EMOTIONS
