"""What happens to signed links by itself."""

from typing import Final

from ossature.kernel.links import usecases
from ossature.kernel.service import Every, Job

DELETE_SPENT: Final = Job(name="links.delete_spent", run=usecases.delete_spent, every=Every(cron="50 3 * * *"))
