"""The bench's options, parameters and report live in the library."""

pytest_plugins = ["goemo_eval.pytest_plugin"]
