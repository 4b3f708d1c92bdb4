"""Names of the attribution models: part of the contract of tables and views."""

DEFAULT_MODEL = "time_decay"
MODELS = ("first", "last", "linear", "position", "time_decay")
