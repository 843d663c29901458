"""How this service says no. `exit_code` is what the command line ends with."""

from typing import ClassVar

from ossature.kernel.errors import Conflict, InvalidInput, NotFound, Problem, Unavailable, UpstreamFailed


class SyncProblem(Problem):
    """Something in a synchronisation went wrong that has no name of its own."""

    title = "Sync problem"


class PipelineInvalid(InvalidInput):
    """A pipeline file has faults; `errors` lists every one with its line and what would be right."""

    title = "Pipeline invalid"


class SecretMissing(PipelineInvalid):
    """A connection names a secret that no setting holds yet."""

    title = "Secret missing"


class PipelineUnknown(NotFound):
    """No pipeline has that name; `near` has the most alike."""

    title = "Pipeline unknown"


class ProfileUnknown(InvalidInput):
    """None of the pipelines has a profile of that name; `near` has those that there are."""

    title = "Profile unknown"


class PipelineExists(Conflict):
    """A pipeline has that name already; a new version of it is saved under its own address."""

    title = "Pipeline exists"


class ConnectionExists(Conflict):
    """A connection has that name already."""

    title = "Connection exists"


class ConnectionInUse(Conflict):
    """A pipeline names this connection, so it stays."""

    title = "Connection in use"


class SourceFailed(UpstreamFailed):
    """The source could not be read to its end. Nothing was planned: a source that fails is never an empty source."""

    title = "Source failed"


class TargetFailed(UpstreamFailed):
    """The target failed, or gave no answer that can be trusted."""

    title = "Target failed"


class TargetRefused(UpstreamFailed):
    """The target does not accept this record."""

    title = "Target refused"


class TargetCredentialRefused(UpstreamFailed):
    """The target does not accept our credentials; an operator must look."""

    title = "Target credential refused"


class SyncBlocked(Conflict):
    """A guard forbids this plan; `guards` says which, with the numbers that an approval must repeat."""

    title = "Sync blocked"
    exit_code: ClassVar[int] = 3


class TargetLocked(Conflict):
    """Another run has this target: it takes one request at a time."""

    title = "Target locked"
    exit_code: ClassVar[int] = 5


class ConnectionUnknown(NotFound):
    """No connection has that name."""

    title = "Connection unknown"


class PackUnknown(NotFound):
    """No pack has that name; `near` has those that are there."""

    title = "Pack unknown"


class PlanUnknown(NotFound):
    """There is no plan with that hash."""

    title = "Plan unknown"


class PlanTampered(Conflict):
    """The bytes of this plan are not those that its name was made of."""

    title = "Plan tampered"


class PlanStale(Conflict):
    """A pipeline of this plan has changed since; plan again."""

    title = "Plan stale"
    exit_code: ClassVar[int] = 3


class PlanExpired(Conflict):
    """This plan is too old to be trusted; plan again."""

    title = "Plan expired"


class PlanApplied(Conflict):
    """This plan was applied, rejected or replaced; a plan is applied once."""

    title = "Plan applied"


class ApprovalMismatch(Conflict):
    """The numbers of an approval are not exactly those of the plan; `expected` has them."""

    title = "Approval mismatch"


class RunOver(Conflict):
    """This run is over; nothing of it can be paused, resumed or cancelled."""

    title = "Run over"


class OperationInDoubt(Conflict):
    """Another run of this target has an operation whose outcome is not known yet; `run` must go on first."""

    title = "Operation in doubt"


class VersionUnknown(NotFound):
    """The pipeline has no version of that number."""

    title = "Version unknown"


class RunUnknown(NotFound):
    """There is no run with that id."""

    title = "Run unknown"


class TargetUncertain(UpstreamFailed):
    """A write may or may not have been carried out. It is never repeated: the target is read, and then we know."""

    title = "Target uncertain"


class SpillFailed(Unavailable):
    """Memory had no room for the records of a target, and neither had the folder for what is too much; nothing was planned.

    The folder is `OSSATURE_SYNC_SPILL_DIR`; a pipeline's `memory_limit_mb` says how much memory it may take.
    """

    title = "Spill failed"
