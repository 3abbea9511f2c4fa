"""Every error that Lockstep raises on purpose, in one tree.

    LockstepError
    ├── DeclarationError      the graph as written can't be (raised when a DAG file is parsed)
    ├── UsageError            a name, version or option that does not exist or can't be read
    ├── Refused               the request is well formed, but a rule says no; the state did not change
    │   ├── PromotionRefused
    │   ├── ReleaseRefused
    │   ├── RollbackRefused
    │   └── PolicyUnmet       no threshold on this curve does what the policy asks
    ├── DataError             the source, or every row of it, can't be used
    ├── TrainingError         the estimator could not be built, fitted or saved
    └── RegistryError         the store or what stands in it
        ├── StoreUnusable     wrong address, no permission, or it ignores put-if-absent
        ├── ObjectMissing
        ├── ObjectDamaged     bytes that differ from what the log says, or from what is about to be written
        ├── LogDamaged        a gap or an entry that can't be read; writing stops
        └── ProtocolTooNew    written by a newer Lockstep

A message says what, which value, what is allowed, and what to do next. `exit_status` is what the command line ends
with: 1 for a rule that says no or a thing that broke, 2 for wrong use.
"""

from typing import ClassVar


class LockstepError(Exception):
    """Base of the tree; catch it to catch whatever Lockstep reports."""

    exit_status: ClassVar[int] = 1


class DeclarationError(LockstepError, ValueError):
    """A declaration that can't be: the message names the node and the way out."""

    exit_status = 2


class UsageError(LockstepError, ValueError):
    """A name, version or option that does not exist or can't be read."""

    exit_status = 2


class Refused(LockstepError):
    """A rule says no; nothing was changed."""


class PromotionRefused(Refused):
    """The version may not stand in staging."""


class ReleaseRefused(Refused):
    """The gate is closed."""


class RollbackRefused(Refused):
    """There is no such earlier release to go back to."""


class PolicyUnmet(Refused):
    """No threshold on the validation split does what the policy asks."""


class DataError(LockstepError):
    """A source that can't be read, or of which no row can be used."""


class TrainingError(LockstepError):
    """An estimator that can't be built, fitted, or saved and loaded again."""


class RegistryError(LockstepError):
    """The store, or what stands in it."""


class StoreUnusable(RegistryError):
    """A wrong address, no permission, or a store that ignores put-if-absent."""


class ObjectMissing(RegistryError):
    """The log names an object that is not there."""


class ObjectDamaged(RegistryError):
    """An object whose bytes are not those that the log promises."""


class LogDamaged(RegistryError):
    """A gap or an unreadable entry in the log; writing stops until it is mended."""


class ProtocolTooNew(RegistryError):
    """The registry was written by a newer Lockstep than this one."""


class DeprecatedDataWarning(UserWarning):
    """A model is declared on a dataset that is marked as deprecated."""
