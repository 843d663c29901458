"""All typed routes of the hub. Those with names of their own come first, so that no category can hide them."""

from fastapi import APIRouter

from ossature.services.hub.api import operations, registry

RESERVED = frozenset({
    "aggregates", "analytics", "assistant", "attempts", "batch", "cache", "consensus", "credentials", "experts", "export",
    "history", "inbound", "jobs", "key-policies", "operations", "passthrough", "providers", "quotas", "route", "s",
    "search", "status", "tools", "workflows",
})  # fmt: skip
"""First parts of paths below `/v1/hub` that no category may have."""

router = APIRouter()
router.include_router(registry.router)
operations.add_to(router)
