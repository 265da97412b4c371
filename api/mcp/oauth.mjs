// Both lines of the TypeScript SDK find the server out, register, ask the person, call, refresh, and give their tokens back:
// `oauth.mjs URL one|two`.
import assert from "node:assert/strict";
import { callback, Provider } from "./callback.mjs";
import { check } from "./check.mjs";

const [url, line] = process.argv.slice(2);
const { Client, StreamableHTTPClientTransport } =
  line === "two"
    ? await import("@modelcontextprotocol/client")
    : {
        ...(await import("@modelcontextprotocol/sdk/client/index.js")),
        ...(await import("@modelcontextprotocol/sdk/client/streamableHttp.js")),
      };

const listening = await callback();
const authProvider = new Provider(listening.url);
const transport = () => new StreamableHTTPClientTransport(new URL(url), { authProvider });
const client = () => new Client({ name: "zenovay-test", version: "1" }, { versionNegotiation: { mode: "auto" } });

const first = transport();
await assert.rejects(client().connect(first), /[Uu]nauthorized/);
const answer = await listening.answer;
listening.close();
assert.equal(answer.get("state"), authProvider.kept.state);
assert.equal(answer.get("iss"), new URL(url).origin);
await first.finishAuth(line === "two" ? answer : answer.get("code"));

async function use() {
  const one = client();
  await one.connect(transport());
  await check(one, (name, args) => one.callTool({ name, arguments: args }));
  await one.close();
}
await use();

// A token that does not hold any more is replaced, without the person.
const { refresh_token: before } = authProvider.kept.tokens;
authProvider.kept.tokens = { ...authProvider.kept.tokens, access_token: "ended" };
await use();
assert.notEqual(authProvider.kept.tokens.refresh_token, before);

const metadata = await (await fetch(new URL("/.well-known/oauth-authorization-server", url))).json();
const body = new URLSearchParams({ token: authProvider.kept.tokens.refresh_token, client_id: authProvider.kept.client.client_id });
assert.equal((await fetch(metadata.revocation_endpoint, { method: "POST", body })).status, 200);
const headers = { Authorization: `Bearer ${authProvider.kept.tokens.access_token}`, "Content-Type": "application/json" };
const gone = await fetch(url, { method: "POST", headers, body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" }) });
assert.equal(gone.status, 401);
console.log("ok");
