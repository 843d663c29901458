"""What happens to API keys by itself."""

from datetime import timedelta

from ossature.kernel.auth.keys import usecases
from ossature.kernel.service import Every, Job

ALERT_ENDING_KEYS = Job(
    name="auth.alert_ending_keys", run=usecases.alert_ending_keys, every=Every(interval=timedelta(hours=1))
)
JOBS = (ALERT_ENDING_KEYS,)
