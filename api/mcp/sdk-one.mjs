// The TypeScript SDK, first line, which speaks the older revisions: `sdk-one.mjs URL TOKEN`.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { check } from "./check.mjs";

const [url, token] = process.argv.slice(2);
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { Authorization: `Bearer ${token}` } } });
const client = new Client({ name: "zenovay-test", version: "1" });
await client.connect(transport);
await check(client, (name, args) => client.callTool({ name, arguments: args }));
await client.close();
console.log("ok");
