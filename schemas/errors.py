"""The errors users meet, as a tree.

PinSphereError
├── EventError        an event, order line or token broke its contract: quarantine it
├── MoneyError        an amount or currency broke the money contract (an EventError)
├── SettingsError     pinsphere.toml, a flag or an environment variable is wrong
│   └── UsageError    the command line asks for something that is not: exit code 2
├── LakeError         a file of the lake cannot be read as what its place says
├── PubSubError       Google Pub/Sub refused for good, or did not answer for long
├── AlertError       a webhook could not be told of alarms
├── AuditError        a run's invariant does not hold: nothing is published
└── BusyError         another process holds what we need: try again later
"""


class PinSphereError(Exception):
    """Root of all errors that are explained to the user without a traceback."""


class EventError(PinSphereError):
    """One record broke its contract. Not retryable: it goes to quarantine with this text."""


class MoneyError(EventError):
    """An amount or a currency code broke the money contract."""


class SettingsError(PinSphereError):
    """A setting is missing or wrong; the text names it and the way out."""


class UsageError(SettingsError):
    """The command line asks for something that is not; the text names it and what is."""


class LakeError(PinSphereError):
    """A file in the lake cannot be read as what its place says."""


class PubSubError(PinSphereError):
    """Google Pub/Sub refused for good, or did not answer for long; the text says which."""


class AlertError(PinSphereError):
    """A webhook could not be told; the text names its host, and nothing else of its address."""


class AuditError(PinSphereError):
    """An invariant of a run does not hold, so the run is not published."""


class BusyError(PinSphereError):
    """Another process is at work on the same home directory. Retryable."""
