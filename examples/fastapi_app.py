"""Invoices over HTTP: each request has its actor, and each invoice shows its history.

psql -f examples/invoices.sql "$AUDITDB_URL"
uvicorn --app-dir examples fastapi_app:app
curl -X POST -H 'X-User: ana' 'localhost:8000/invoices?number=R-17&total=99.90&due=2026-12-31'
curl localhost:8000/invoices/1/history
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal

from fastapi import FastAPI, HTTPException
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

import auditdb
from auditdb.asgi import ActorMiddleware, Scope

URL = os.environ["AUDITDB_URL"].replace("postgresql://", "postgresql+psycopg://", 1)

engine = auditdb.instrument(create_async_engine(URL))


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Close the connections when the application ends."""
    yield
    await engine.dispose()


def who(scope: Scope) -> auditdb.Actor | None:
    """Return who sends a request: here a header says it, in your project a session or a token."""
    user = dict(scope["headers"]).get(b"x-user")
    return auditdb.Actor("user", user.decode()) if user else None


app = FastAPI(lifespan=lifespan)
app.add_middleware(ActorMiddleware, actor=who)


@app.post("/invoices", status_code=201)
async def create(number: str, total: Decimal, due: date) -> dict[str, int]:
    """Create an invoice."""
    insert = text(
        "insert into invoice (number, total, due) values (:number, :total, :due) returning id"
    )
    async with engine.begin() as connection:
        found = await connection.execute(insert, {"number": number, "total": total, "due": due})
    return {"id": found.scalar_one()}


@app.post("/invoices/{invoice_id}/paid", status_code=204)
async def pay(invoice_id: int) -> None:
    """Mark an invoice as paid."""
    update = text("update invoice set status = 'paid' where id = :id")
    async with engine.begin() as connection:
        paid = await connection.execute(update, {"id": invoice_id})
    if paid.rowcount == 0:
        raise HTTPException(404)


@app.get("/invoices/{invoice_id}/history")
async def history(invoice_id: int) -> list[dict[str, str]]:
    """Return what was done to an invoice, when and by whom, newest first."""
    async with engine.connect() as connection:
        page = await auditdb.events(connection, item=("invoice", invoice_id))
    return [
        {"at": event.occurred_at_iso, "action": event.action, "by": event.actor_id}
        for event in page.events
    ]
