"""The Python client finds the server out, registers, asks the person, calls, refreshes, and gives its tokens back: `oauth.py URL`."""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urljoin, urlsplit

import anyio
import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata


class Storage:
    tokens = client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


class Callback(BaseHTTPRequestHandler):
    def do_GET(self):
        address = urlsplit(self.path)
        # Browsers ask for an icon, too.
        if address.path == "/callback":
            self.server.answer = {name: values[0] for name, values in parse_qs(address.query).items()}
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


async def main(url: str) -> None:
    # Browsers open connections that they do not use yet: each has a thread.
    server = ThreadingHTTPServer(("127.0.0.1", 0), Callback)
    Thread(target=server.serve_forever, daemon=True).start()

    async def browse(page: str) -> None:
        await anyio.run_process([os.environ["BROWSER"], page], stderr=None)

    async def answered() -> AuthorizationCodeResult:
        return AuthorizationCodeResult(**{name: server.answer.get(name) for name in ["code", "state", "iss"]})

    metadata = OAuthClientMetadata(client_name="Peer", redirect_uris=[f"http://127.0.0.1:{server.server_port}/callback"])
    for mode in ["auto", "legacy"]:
        storage = Storage()
        provider = OAuthClientProvider(url, metadata, storage, browse, answered)
        async with httpx2.AsyncClient(auth=provider, timeout=60) as http:
            async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
                listed = await client.call_tool("list_websites", {})
                assert listed.structured_content["websites"], listed
                before = storage.tokens.refresh_token
                assert before
                # A token that is over is replaced, without the person.
                provider.context.token_expiry_time = 1
                listed = await client.call_tool("list_websites", {})
                assert listed.structured_content["websites"], listed
                assert storage.tokens.refresh_token not in {None, before}
        async with httpx2.AsyncClient(timeout=60) as http:
            metadata_url = urljoin(url, "/.well-known/oauth-authorization-server")
            revoke = (await http.get(metadata_url)).json()["revocation_endpoint"]
            form = {"token": storage.tokens.refresh_token, "client_id": storage.client.client_id}
            assert (await http.post(revoke, data=form)).status_code == 200
            headers = {"Authorization": f"Bearer {storage.tokens.access_token}"}
            message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
            assert (await http.post(url, json=message, headers=headers)).status_code == 401
    print("ok")


anyio.run(main, sys.argv[1])
