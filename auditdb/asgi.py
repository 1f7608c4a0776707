"""The middleware for ASGI: FastAPI, Starlette, Quart, Django's and whatever else speaks it."""

from auditdb._actor.asgi_middleware import ActorMiddleware, App, Message, Receive, Scope, Send

__all__ = ["ActorMiddleware", "App", "Message", "Receive", "Scope", "Send"]
