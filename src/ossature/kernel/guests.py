"""The kernel's own services, and the whole that they make with those of a product."""

from collections import Counter
from collections.abc import Iterable, Iterator

from ossature.kernel.audit.service import service as audit_service
from ossature.kernel.auth.service import service as auth_service
from ossature.kernel.backup.service import service as backup_service
from ossature.kernel.cache.settings import CacheSettings
from ossature.kernel.config import MainSettings, Settings
from ossature.kernel.console.service import service as console_service
from ossature.kernel.db.redis import RedisSettings
from ossature.kernel.db.settings import DatabaseSettings
from ossature.kernel.errors import Misconfigured
from ossature.kernel.events.service import service as events_service
from ossature.kernel.files.service import service as files_service
from ossature.kernel.http.jobs import service as jobs_service
from ossature.kernel.http.service import service as http_service
from ossature.kernel.legal.service import service as legal_service
from ossature.kernel.links.service import service as links_service
from ossature.kernel.notify.service import service as notify_service
from ossature.kernel.observe.settings import ObserveSettings
from ossature.kernel.outbound.service import service as outbound_service
from ossature.kernel.quotas.service import service as quotas_service
from ossature.kernel.secrets.service import service as secrets_service
from ossature.kernel.service import Job, Service
from ossature.kernel.tenants.service import service as tenants_service
from ossature.kernel.webhooks.service import service as webhooks_service

GUESTS: tuple[Service, ...] = (
    http_service,
    outbound_service,
    events_service,
    jobs_service,
    tenants_service,
    auth_service,
    quotas_service,
    audit_service,
    files_service,
    webhooks_service,
    notify_service,
    links_service,
    legal_service,
    secrets_service,
    backup_service,
    console_service,
)
"""The kernel's own services. They come in by the doors that everybody uses, and first."""

_KERNEL_SETTINGS: tuple[type[Settings], ...] = (
    MainSettings,
    DatabaseSettings,
    RedisSettings,
    ObserveSettings,
    CacheSettings,
)


def everybody(services: Iterable[Service]) -> tuple[Service, ...]:
    """The kernel's guests and these services. Raises: Misconfigured when two share a name or a need is not met."""
    found = (*GUESTS, *services)
    twice = [name for name, times in Counter(service.name for service in found).items() if times > 1]
    if twice:
        raise Misconfigured(f"More than one service is called {', '.join(twice)}.")
    jobs = [job.name for job in jobs_of(found)]
    twice = [name for name, times in Counter(jobs).items() if times > 1]
    if twice:
        raise Misconfigured(f"More than one job is called {', '.join(twice)}.")
    offered = {promise for service in found for promise in service.offers}
    for service in found:
        missing = [need.__name__ for need in service.needs if need not in offered]
        if missing:
            raise Misconfigured(f"The service {service.name!r} needs {', '.join(missing)}, and nobody offers it.")
    return found


def jobs_of(services: Iterable[Service]) -> tuple[Job, ...]:
    """Every job of these services, listeners left out (the outbox wraps those); what fills a demo tenant is one too."""
    return tuple(job for service in services for job in (*service.jobs, *_demo(service)))


def _demo(service: Service) -> Iterator[Job]:
    if service.demo is not None:
        yield Job(name=f"{service.name}.demo", run=service.demo, attempts=3, time_limit_s=600)


def settings_of(services: Iterable[Service]) -> tuple[type[Settings], ...]:
    """Every group of settings of this installation."""
    groups = (group for service in services for group in service.settings)
    return tuple(dict.fromkeys((*_KERNEL_SETTINGS, *groups)))
