// The TypeScript SDK, second line, in both of its modes: `sdk-two.mjs URL TOKEN`.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { check } from "./check.mjs";

const [url, token] = process.argv.slice(2);
for (const mode of ["legacy", "auto"]) {
  const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { Authorization: `Bearer ${token}` } } });
  const client = new Client({ name: "zenovay-test", version: "1" }, { versionNegotiation: { mode } });
  await client.connect(transport);
  await check(client, (name, args) => client.callTool({ name, arguments: args }));
  await client.close();
}
console.log("ok");
