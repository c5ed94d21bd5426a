"""Every error that the monitoring raises on purpose.

    MonitoringError
    ├── StoreError                           the event store
    │   ├── StoreUrlError (ValueError)           no database that we can use is at this URL
    │   ├── NoStoreError (FileNotFoundError)     nothing is there, and nobody asked to make one
    │   ├── SchemaVersionError (RuntimeError)    written by a newer version than this one
    │   ├── StoreUnavailableError (OSError)      cannot be read or written now; later it may
    │   └── UnstorableError (ValueError)         the database refuses this one record or event, and always will
    ├── ProfileError (ValueError)            a reference for drift is too small, damaged or of another form
    ├── WindowError (ValueError)             that is no size of a window
    ├── NoAlarmError (LookupError)           no rule has this name, or it is of another kind
    ├── ActionError (ValueError)             nobody can be told of alarms at such an address
    ├── RulesError (ValueError)              a file of rules says what cannot be
    ├── IncidentError (ValueError)           a simulated incident that is none
    ├── PoolError (ValueError)               no simulated hearings where they were looked for, or unreadable ones
    └── MissingPackageError (ImportError)    an optional package is needed and not installed

Each also inherits the builtin that callers would expect. A message names the value seen, what was expected, and
what to do; it never holds what a person said or typed.
"""

from __future__ import annotations


class MonitoringError(Exception):
    """Root of all errors raised on purpose by ``monitoring``."""


class StoreError(MonitoringError):
    """The event store is at fault, or what it was given."""


class StoreUrlError(StoreError, ValueError):
    """The URL names no database that the store can use."""


class NoStoreError(StoreError, FileNotFoundError):
    """There is no store where one was looked for, and an empty one would answer every question wrongly."""


class SchemaVersionError(StoreError, RuntimeError):
    """The database was migrated by a newer version; an older one must not write into it."""


class StoreUnavailableError(StoreError, OSError):
    """The store cannot be read or written now: disk full, read-only, unreachable, closed, or too far behind."""


class UnstorableError(StoreError, ValueError):
    """The database refuses this one record or event for what it holds; trying again does not help."""


class ProfileError(MonitoringError, ValueError):
    """A reference for drift is not there, too small, damaged, or of a form that this version does not read."""


class WindowError(MonitoringError, ValueError):
    """What was asked for is no size of a window."""


class NoAlarmError(MonitoringError, LookupError):
    """There is no such alarm, or it is of a kind that this cannot be asked of."""


class ActionError(MonitoringError, ValueError):
    """Nobody can be told of alarms at such an address."""


class RulesError(MonitoringError, ValueError):
    """A file of rules cannot be read, or a threshold in it is beyond what makes sense."""


class IncidentError(MonitoringError, ValueError):
    """An incident to simulate is misspelled, or cannot be."""


class PoolError(MonitoringError, ValueError):
    """There is no pool of hearings to simulate with, or it is of another format."""


class MissingPackageError(MonitoringError, ImportError):
    """An optional package is needed for what was asked and is not installed."""
