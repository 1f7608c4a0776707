"""The middleware for WSGI: Flask, Django, Pyramid and whatever else speaks it."""

from auditdb._actor.wsgi_middleware import ActorMiddleware

__all__ = ["ActorMiddleware"]
