"""The service's HTTP protocol around an app, on a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from oodguard.service.prediction.admission import Admission
from oodguard.service.server.early_load_shedding import EarlyLoadShedding, http_protocol_class


@asynccontextmanager
async def running_server(
    app: ASGIApp,
    shedding: EarlyLoadShedding | None = None,
    admission: Admission | None = None,
) -> AsyncIterator[int]:
    """Serve an app until the end of the block; yield its port."""
    config = uvicorn.Config(
        app,
        http=http_protocol_class(shedding, admission=admission),
        log_config=None,
        access_log=False,
        server_header=False,
        port=0,
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port: int = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield port
    except BaseException:
        # A test that failed answers no more: the shutdown would wait for its requests forever.
        server.force_exit = True
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        for task in list(server.server_state.tasks):
            task.cancel()
        raise
    finally:
        await server.shutdown()
