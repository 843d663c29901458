"""What happens to sessions and signing keys by itself."""

from ossature.kernel.auth.signin import usecases
from ossature.kernel.service import Every, Job

DELETE_SPENT = Job(name="auth.delete_spent", run=usecases.delete_spent, every=Every(cron="20 3 * * *"))
ROTATE_SIGNING_KEY = Job(
    name="auth.rotate_signing_key", run=usecases.rotate_signing_key, every=Every(cron="40 3 * * *")
)
JOBS = (DELETE_SPENT, ROTATE_SIGNING_KEY)
