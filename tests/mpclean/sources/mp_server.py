"""The Materials Project on loopback: its own server code over a few documents.

`emmet-api` builds the routes and answers, over mongomock in the place of its database. In front
of it stands a small proxy that wants the key, as the real gateway does, logs every question,
and can be told to answer wrongly.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

#: The only key that the gateway knows.
KEY = "0123456789abcdefghijklmnopqrstuv"
VERSION = "2025.09.25"


class _Cursor:
    def __init__(self, documents):
        self._documents = documents

    async def to_list(self):
        return self._documents


class _Collection:
    """The few asynchronous methods that the server calls, over a mongomock collection."""

    def __init__(self, documents):
        import mongomock

        self._collection = mongomock.MongoClient().mp.documents
        self._collection.insert_many(documents)

    async def count_documents(self, criteria, **_):
        return self._collection.count_documents(criteria)

    async def aggregate(self, pipeline, **_):
        return _Cursor(list(self._collection.aggregate(pipeline)))


def served_id(material_id):
    """The form in which the server holds an id: ``mp-aaaaaaft`` for ``mp-149``."""
    from emmet.core.mpid import AlphaID

    return str(AlphaID(material_id, padlen=8))


def served_documents(documents):
    """Summary and thermo documents as the server holds them, from flat ones.

    Energies of the summary are those of the mixed hull, 0.1 eV/atom off, as a trap; `is_hubbard`
    is in the thermo document alone.
    """
    summary, thermo = [], []
    for document in documents:
        material_id = served_id(document["material_id"])
        builder = {"database_version": VERSION, "license": document.get("license", "BY-C")}
        if builder["license"] == "BY-NC":
            builder["batch_id"] = "gnome_r2scan_statics"  # what the client knows by it who may see it
        deprecated = bool(document.get("deprecated"))
        energy, above = document["formation_energy_per_atom"], document["energy_above_hull"]
        summary.append(
            {"symmetry": None, "theoretical": True}
            | {name: value for name, value in document.items() if name not in ("is_hubbard", "license")}
            | {"material_id": material_id, "deprecated": deprecated, "builder_meta": builder}
            | {"formation_energy_per_atom": energy + 0.1, "energy_above_hull": above + 0.1}
        )
        run_type = "GGA+U" if document.get("is_hubbard") else "GGA"
        parameters = {"run_type": run_type, "is_hubbard": bool(document.get("is_hubbard")), "hubbards": {}}
        for hull, shift in (("GGA_GGA+U", 0.0), ("GGA_GGA+U_R2SCAN", 0.1)):
            thermo.append(
                {
                    "material_id": material_id,
                    "thermo_type": hull,
                    "energy_type": run_type,
                    "formation_energy_per_atom": energy + shift,
                    "energy_above_hull": above + shift,
                    "entries": {run_type: {"parameters": parameters, "energy": -1.0}},
                    "builder_meta": builder,
                }
            )
    return summary, thermo


class Server:
    """What a test sees of the server.

    Attributes
    ----------
    url
        What ``MP_API_ENDPOINT`` is to be.
    meta
        What the heartbeat says; ``db_version`` may be changed.
    log
        Every question in order: ``(route, parameters)``.
    groups
        What the gateway says of the holder of the key; one in ``TERMS:ACCEPT-NC`` sees BY-NC too.
    faults
        Called with the handler, the route and the number of the question, before each answer;
        returns True if it has answered itself.
    """

    def __init__(self, url, meta):
        self.url = url
        self.meta = meta
        self.reset()

    def reset(self):
        self.meta["db_version"] = VERSION
        self.log = []
        self.groups = ""
        self.faults = lambda handler, route, number: False

    def pages(self):
        """The questions for documents, without the heartbeats."""
        return [question for question in self.log if question[0] != "heartbeat"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server.seen
        address = urlsplit(self.path)
        route = address.path.strip("/")
        parameters = {name: value for name, (value,) in parse_qs(address.query).items()}
        server.log.append((route, parameters))
        if server.faults(self, route, len(server.log)):
            return
        if route != "heartbeat" and self.headers["x-api-key"] != KEY:
            self.answer(401, b'{"message": "Unauthorized"}')
            return
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=60)
        headers = {"Accept-Encoding": "identity", "X-Consumer-Groups": server.groups}
        upstream.request("GET", self.path, headers=headers)
        response = upstream.getresponse()
        self.answer(response.status, response.read())
        upstream.close()

    def answer(self, status, body, length=None, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        if length is not None:
            self.close_connection = True

    def log_message(self, *_):
        pass


class _Proxy(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        pass  # a client that has gone


@contextmanager
def serve(summary, thermo):
    """Run the server over these documents; gives a `Server`."""
    import uvicorn
    from emmet.api.core.api import MAPI
    from emmet.api.resource.utils import CollectionWithKey
    from emmet.api.routes.materials.summary.resources import summary_resource
    from emmet.api.routes.materials.thermo.resources import thermo_resource

    meta = {"db_version": VERSION, "access_controlled_batch_ids": ["gnome_r2scan_statics"]}
    resources = [
        summary_resource(CollectionWithKey(_Collection(summary))),
        thermo_resource(CollectionWithKey(_Collection(thermo), "thermo_id")),
    ]
    app = MAPI(resources={"materials": resources}, heartbeat_meta=meta).app
    upstream = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    threads = [threading.Thread(target=upstream.run, daemon=True)]
    threads[0].start()
    while not upstream.started:
        time.sleep(0.01)
    proxy = _Proxy(("127.0.0.1", 0), _Handler)
    proxy.upstream = upstream.servers[0].sockets[0].getsockname()[1]
    proxy.seen = Server(f"http://127.0.0.1:{proxy.server_port}/", meta)
    threads.append(threading.Thread(target=proxy.serve_forever, daemon=True))
    threads[1].start()
    try:
        yield proxy.seen
    finally:
        proxy.shutdown()
        proxy.server_close()
        upstream.should_exit = True
        for thread in threads:
            thread.join()


_MOTO = """
import logging, time
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
logging.disable()
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print("http://%s:%d" % server.get_host_and_port(), flush=True)
time.sleep(1e6)
"""


@contextmanager
def bucket(summary, version=VERSION):
    """The bulk table of these summary documents in moto's S3; gives the environment that leads there."""
    import boto3
    import pyarrow as pa
    from deltalake import write_deltalake
    from emmet.core.arrow import arrowize
    from emmet.core.summary import SummaryDoc

    # A process of its own: the reader of the table keeps the interpreter to itself while it waits.
    moto = subprocess.Popen([sys.executable, "-c", _MOTO], stdout=subprocess.PIPE, text=True)
    url = moto.stdout.readline().strip()
    schema = pa.schema(arrowize(SummaryDoc)).insert(0, pa.field("version", pa.string()))
    rows = [{"version": version.replace(".", "-")} | document for document in summary]
    try:
        with tempfile.TemporaryDirectory() as folder:
            write_deltalake(folder, pa.Table.from_pylist(rows, schema=schema), partition_by=["version"])
            client = boto3.client(
                "s3", endpoint_url=url, region_name="us-east-1",
                aws_access_key_id="any", aws_secret_access_key="any",
            )  # fmt: skip
            client.create_bucket(Bucket="materialsproject-build", ACL="public-read")
            for path in Path(folder).rglob("*"):
                if path.is_file():
                    key = f"collections/summary/{path.relative_to(folder).as_posix()}"
                    client.put_object(
                        Bucket="materialsproject-build", Key=key, Body=path.read_bytes(), ACL="public-read"
                    )
        yield {"AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true"}
    finally:
        moto.kill()
        moto.communicate()
