"""All routes of sync."""

from fastapi import APIRouter

from ossature.services.sync.api import connections, pipelines, plans, records, runs

router = APIRouter()
for part in (pipelines, connections, plans, runs, records):
    router.include_router(part.router)
