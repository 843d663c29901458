"""Figures of the jobs room for `/metrics`."""

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)

FINISHED = Counter("jobs_finished_total", "Attempts that ended, by how.", ["job", "outcome"])
SECONDS = Histogram("jobs_seconds", "Time of one attempt.", ["job"], buckets=_SECONDS)
PICKUP_SECONDS = Histogram("jobs_pickup_seconds", "Time from due to begun.", ["queue"], buckets=_SECONDS)
RUNNING = Gauge("jobs_running", "Jobs that run now.", ["queue"], multiprocess_mode="livesum")
WAITING = Gauge("jobs_waiting", "Jobs that are due.", ["queue"], multiprocess_mode="mostrecent")
LATER = Gauge("jobs_later", "Jobs that wait for their time.", ["queue"], multiprocess_mode="mostrecent")
OLDEST_WAIT_SECONDS = Gauge(
    "jobs_oldest_wait_seconds",
    "Age of the job that has been due for longest.",
    ["queue"],
    multiprocess_mode="mostrecent",
)
LOST = Counter("jobs_lease_lost_total", "Attempts whose job was given to another worker.")
REAPED = Counter("jobs_reaped_total", "Jobs taken back from workers that were gone.")
UNSENT = Counter(
    "jobs_broker_unsent_total", "News of jobs that the broker did not take; the table was looked at instead."
)
SCHEDULED = Counter("jobs_scheduled_total", "Occurrences of schedules, by what became of them.", ["job", "outcome"])
