"""What happens to nonces by itself."""

from datetime import timedelta
from typing import Final

from ossature.kernel.auth.signatures import usecases
from ossature.kernel.service import Every, Job

FORGET_NONCES: Final = Job(
    name="auth.forget_nonces", run=usecases.forget_nonces, every=Every(interval=timedelta(minutes=10))
)
JOBS: Final = (FORGET_NONCES,)
