"""Runs the service and its admin server on a thread of their own, so that they work while the engine starts."""

import asyncio
import logging
import os
import threading
import time
import uuid
from concurrent.futures import Future

from lora_api.runtime_api import Capacity
from lora_runtime.config import Settings
from lora_runtime.http.admin import admin_app, admin_server
from lora_runtime.service import Service
from lora_runtime.store.content import open_store

log = logging.getLogger(__name__)


def start(settings: Settings) -> Service:
    """Returns once the service exists. Its thread ends with the process.

    Raises:
        OSError: the store's folder cannot be written.
    """
    started: Future[Service] = Future()
    threading.Thread(target=_run, args=(settings, started), name="lora-runtime", daemon=True).start()
    return started.result(timeout=60)


def _run(settings: Settings, started: "Future[Service]") -> None:
    try:
        asyncio.run(_main(settings, started))
    except BaseException as error:
        if not started.done():
            started.set_exception(error)
            return
        log.critical("the admin server ended; the process ends", exc_info=error)
    os._exit(70)


async def _main(settings: Settings, started: "Future[Service]") -> None:
    store = open_store(
        settings.store,
        volumes_root=settings.volumes_root,
        credentials_root=settings.credentials_root,
        endpoint=settings.hf_endpoint,
        max_bytes=settings.max_adapter_bytes,
    )
    service = Service(
        boot_id=uuid.uuid4().hex,
        store=store,
        state_folder=settings.store,
        capacity=Capacity(
            max_rank=settings.max_rank, max_resident=settings.max_resident, max_cached=settings.max_cached
        ),
        clock=time.monotonic,
    )
    await service.restore(settings.desired_file)
    started.set_result(service)
    await admin_server(admin_app(service), settings.admin_host, settings.admin_port, settings.tls_dir).serve()
