"""What happens to budgets by itself."""

from datetime import timedelta

from ossature.kernel.quotas import usecases
from ossature.kernel.service import Every, Job

TELL_OF_BUDGETS = Job(
    name="quotas.tell_of_budgets", run=usecases.tell_of_budgets, every=Every(interval=timedelta(minutes=1))
)
JOBS = (TELL_OF_BUDGETS,)
