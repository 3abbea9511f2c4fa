"""Every error that Lockstep raises on purpose, in one tree.

    LockstepError
    ├── DeclarationError      the graph as written can't be (raised when a DAG file is parsed)
    ├── UsageError            a name, version or option that does not exist or can't be read
    ├── Refused               the request is well formed, but a rule says no; the state did not change
    │   ├── PromotionRefused
    │   ├── ReleaseRefused
    │   ├── RollbackRefused
    │   ├── JudgementRefused  nothing can be said of what stands in staging
    │   │   └── SetChanged    it is not what was shown to whoever approves or rejects it
    │   ├── HoldRefused       the group is on hold already, or is not
    │   ├── FactRefused       what a job wants to record contradicts the log, as when its files were removed meanwhile
    │   └── PolicyUnmet       no threshold on this curve does what the policy asks
    ├── DataError             the source, or every row of it, can't be used
    │   └── CheckFailed       a hard check of the dataset is broken; no snapshot was taken
    ├── TrainingError         the estimator could not be built, fitted or saved
    ├── CloudError            what was to happen in a cloud
    │   ├── CloudUnusable     it could not be asked for, or lost its machine; trying again may help
    │   ├── JobFailed         it ended without a result
    │   └── DeploymentFailed  a step of bringing a release to its endpoints was refused
    ├── NeighbourAway         another system that is told of what happened did not answer; it is told later
    └── RegistryError         the store or what stands in it
        ├── StoreUnusable     wrong address, or it ignores put-if-absent
        │   └── NotAllowed    it does not let these credentials do that
        ├── ObjectMissing
        ├── ObjectDamaged     bytes that differ from what the log says, or from what is about to be written
        ├── VersionRemoved    retention removed the files of a version; the log keeps what it says of it
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


class JudgementRefused(Refused):
    """There is no set to approve or reject."""


class SetChanged(JudgementRefused):
    """The set that was shown is not the one that would be released now, or would not take the place that was shown."""


class HoldRefused(Refused):
    """The group is on hold already, or is not on hold."""


class FactRefused(Refused):
    """What a job wants to record contradicts the log; nothing was written."""


class PolicyUnmet(Refused):
    """No threshold on the validation split does what the policy asks."""


class DataError(LockstepError):
    """A source that can't be read, or of which no row can be used."""


class CheckFailed(DataError):
    """Rows, or all of them together, break a hard check of their dataset; no snapshot was taken."""


class TrainingError(LockstepError):
    """An estimator that can't be built, fitted, or saved and loaded again."""


class CloudError(LockstepError):
    """A job that was to run in a cloud did not give what it was to give."""


class CloudUnusable(CloudError):
    """The cloud could not be asked, has no room, or took the machine away; trying again may help."""


class JobFailed(CloudError):
    """The job ended without a result, and the same job would end so again."""


class DeploymentFailed(CloudError):
    """A step of bringing a release to its endpoints was refused; the message says what they serve now."""


class NeighbourAway(LockstepError):
    """A system that is told of what happened does not answer; nothing depends on it, and it is told later."""


class RegistryError(LockstepError):
    """The store, or what stands in it."""


class StoreUnusable(RegistryError):
    """A wrong address, no permission, or a store that ignores put-if-absent."""


class NotAllowed(StoreUnusable):
    """The store does not let these credentials do that; doing it again with them is of no use."""


class ObjectMissing(RegistryError):
    """The log names an object that is not there."""


class ObjectDamaged(RegistryError):
    """An object whose bytes are not those that the log promises."""


class VersionRemoved(RegistryError):
    """Retention removed the files of a version; there is nothing to restore."""


class LogDamaged(RegistryError):
    """A gap or an unreadable entry in the log; writing stops until it is mended."""


class ProtocolTooNew(RegistryError):
    """The registry was written by a newer Lockstep than this one."""


class DeprecatedDataWarning(UserWarning):
    """A model is declared on a dataset that is marked as deprecated."""
