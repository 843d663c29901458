"""What the solver refuses, and why."""


class DarpError(ValueError):
    """Anything that darp refuses."""


class ProblemError(DarpError):
    """A problem that contradicts itself. reasons: one sentence for each fault, beginning with the field's path."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class UnsupportedError(ProblemError):
    """A rule that the problem states and this version cannot plan; it is never silently left out."""


class PlanError(DarpError):
    """A plan that does not belong to the problem: an unknown vehicle or request, a broken order of stops."""


class PrefixError(DarpError):
    """What has already happened leaves no feasible way to go on for a vehicle; the caller must relax a rule."""


class FormatError(DarpError):
    """A file that is not in the format that was asked for."""
