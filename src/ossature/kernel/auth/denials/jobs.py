"""What happens to counted addresses by itself."""

from datetime import timedelta
from typing import Final

from ossature.kernel.auth.denials import watch
from ossature.kernel.service import Every, Job

FORGET_ADDRESSES: Final = Job(name="auth.forget_addresses", run=watch.forget, every=Every(interval=timedelta(hours=1)))
JOBS: Final = (FORGET_ADDRESSES,)
