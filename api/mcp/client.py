"""The Python client in both of its modes: `client.py URL TOKEN`."""

import json
import sys

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def main(url: str, token: str) -> None:
    for mode in ["legacy", "auto"]:
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http:
            async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
                tools = (await client.list_tools()).tools
                assert tools[0].name == "list_websites", tools[0].name
                listed = await client.call_tool("list_websites", {})
                assert json.loads(listed.content[0].text) == listed.structured_content
                website = listed.structured_content["websites"][0]
                visitors = await client.call_tool("get_visitors", {"website_id": website["website_id"]})
                assert visitors.structured_content["totals"]["visitors"] >= 1
                failed = await client.call_tool("get_visitors", {"website_id": "nothing.example"})
                assert failed.is_error and "list_websites" in failed.content[0].text
    print("ok")


anyio.run(main, *sys.argv[1:3])
