// A client that acts for somebody: the page that asks, signed out and in, with scripts and without, and ending it in the settings.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { openTab, startBrowser, startServer, violations } from "./harness.mjs";
import { call, opens, tour } from "./tour.mjs";
import { until } from "./wait.mjs";

const OWNER = { name: "Ada Owner", email: "owner@example.com", password: "correct horse battery" };

let server;
let browser;
let client;
let owner;
/** A request whose page is looked at. */
let asked;
before(async () => {
  [server, browser, client] = await Promise.all([startServer(), startBrowser(), startClient()]);
  const { page, context } = await openTab(browser, server);
  await page.goto("/login");
  const token = server.welcome.split("#")[1];
  await call(page, "POST", "/api/welcome", { token, ...OWNER, website: { domain: "example.com", name: "Example" } });
  owner = await context.storageState();
  const notebook = await newRequest("Notebook");
  await page.goto(notebook.path);
  await page.getByRole("button", { name: "Allow", exact: true }).click();
  await page.getByRole("heading", { name: "You can close this" }).waitFor();
  await exchange(notebook);
  asked = await newRequest("Chart Assistant with a rather long name that goes on and on", { scope: "read management:write" });
  await context.close();
});
after(async () => {
  await browser?.close();
  await server?.stop();
  client?.stop();
});

/** What listens on this computer for the answer, as programs do. */
async function startClient() {
  const answers = [];
  const listener = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://127.0.0.1");
    if (pathname.startsWith("/callback")) answers.push(searchParams);
    // As clients do that show the last page at a host of their own.
    if (pathname === "/callback/elsewhere") return response.writeHead(302, { Location: `http://localhost:${listener.address().port}/done` }).end();
    response.setHeader("Content-Type", "text/html").end("<title>Done</title><h1>You can close this</h1>");
  });
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  return { answers, redirect: `http://127.0.0.1:${listener.address().port}/callback`, stop: () => listener.close() };
}

const post = (path, body, type = "application/x-www-form-urlencoded") => fetch(server.address + path, { method: "POST", headers: { "Content-Type": type }, body });

/** Registers a client and makes its request. */
async function newRequest(name, more = {}) {
  const registration = await post("/oauth/register", JSON.stringify({ client_name: name, redirect_uris: ["http://127.0.0.1/callback", "http://127.0.0.1/callback/elsewhere"], token_endpoint_auth_method: "none" }), "application/json");
  assert.equal(registration.status, 201);
  const { client_id } = await registration.json();
  const verifier = randomBytes(32).toString("base64url");
  const query = new URLSearchParams({
    response_type: "code",
    client_id,
    redirect_uri: client.redirect,
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
    resource: `${server.address}/mcp`,
    state: "some state",
    scope: "read",
    ...more,
  });
  return { client_id, verifier, path: `/oauth/authorize?${query}` };
}

/** The tokens for the latest answer. */
async function exchange({ client_id, verifier }, redirect_uri = client.redirect) {
  const answer = client.answers.at(-1);
  assert.deepEqual([answer.get("state"), answer.get("iss"), answer.get("error")], ["some state", server.address, null]);
  const form = { grant_type: "authorization_code", code: answer.get("code"), client_id, code_verifier: verifier, redirect_uri };
  const response = await post("/oauth/token", new URLSearchParams(form));
  assert.equal(response.status, 200);
  return response.json();
}

const refreshing = ({ client_id }, { refresh_token }) => post("/oauth/token", new URLSearchParams({ grant_type: "refresh_token", client_id, refresh_token }));
const level = (page, category, name) => page.getByRole("group", { name: category }).getByRole("radio", { name, exact: true });
/** Requests to the client are what this is about. */
const others = (problems) => problems.filter((problem) => !problem.includes(new URL(client.redirect).origin));

test("somebody who is signed out signs in, is asked, and the client gets what they chose", async () => {
  const { page, context, problems } = await openTab(browser, server);
  const asked = await newRequest("Chart Assistant");
  await page.goto(asked.path);
  await page.waitForURL((url) => url.pathname === "/login");
  await page.getByLabel("E-mail").fill(OWNER.email);
  await page.getByLabel("Password", { exact: true }).fill(OWNER.password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("heading", { name: "Let Chart Assistant act for you?" }).waitFor();
  assert.match(await page.locator("main").innerText(), /registered itself[\s\S]*this computer/);
  assert.equal(await level(page, "Analytics", "Read").isChecked(), true);
  assert.equal(await level(page, "Management", "Write").isChecked(), false);
  assert.equal(await level(page, "Analytics", "Write").count(), 0, "there is nothing to change");
  await level(page, "Management", "Write").check();
  await level(page, "Settings", "None").check();
  await page.getByRole("button", { name: "Allow", exact: true }).click();
  await page.getByRole("heading", { name: "You can close this" }).waitFor();
  const tokens = await exchange(asked);
  assert.equal(tokens.scope, "analytics:read advanced:read management:read management:write");

  await page.goto("/settings/account/security");
  const card = page.getByRole("region", { name: "Connected MCP clients" });
  await card.getByText("Chart Assistant", { exact: false }).first().waitFor();
  for (const shown of ["Reads Analytics and Advanced, changes Management", "never used", "no queries today", `${server.address}/mcp`]) {
    await until(async () => (await card.innerText()).includes(shown), `the card says: ${shown}`);
  }
  assert.deepEqual(await violations(context, page), []);
  await card.getByRole("button", { name: "Revoke Chart Assistant" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Revoke", exact: true }).click();
  await card.getByRole("button", { name: "Revoke Chart Assistant" }).waitFor({ state: "detached" });
  assert.equal((await refreshing(asked, tokens)).status, 400);
  assert.deepEqual(others(problems), []);
  await context.close();
});

test("the page works without scripts, and no is an answer", async () => {
  const { page, context } = await openTab(browser, server, { storageState: owner, javaScriptEnabled: false });
  const asked = await newRequest("Plain Client");
  await page.goto(asked.path);
  for (const category of ["Analytics", "Advanced", "Management", "Settings"]) await level(page, category, "None").check();
  await page.getByRole("button", { name: "Allow", exact: true }).click();
  await page.getByText("Choose at least one thing").waitFor();
  assert.equal(await level(page, "Analytics", "None").isChecked(), true, "what was chosen stays");
  await level(page, "Analytics", "Read").check();
  await page.getByRole("button", { name: "Allow", exact: true }).click();
  await page.getByRole("heading", { name: "You can close this" }).waitFor();
  assert.equal((await exchange(asked)).scope, "analytics:read");
  await page.goto((await newRequest("Plain Client")).path);
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("heading", { name: "You can close this" }).waitFor();
  assert.equal(client.answers.at(-1).get("error"), "access_denied");
  // A wrong request of a client that nobody let in: the person goes on, or does not.
  const answers = client.answers.length;
  const wrong = await newRequest("Wrong Client", { response_type: "token" });
  await page.goto(wrong.path);
  await page.getByRole("heading", { name: "This client cannot be connected" }).waitFor();
  assert.equal(client.answers.length, answers);
  await page.getByRole("link", { name: "Go back to this computer" }).click();
  await page.getByRole("heading", { name: "You can close this" }).waitFor();
  assert.equal(client.answers.at(-1).get("error"), "unsupported_response_type");
  await context.close();
});

// Chromium holds what comes after a form to the policy of the form's page, redirects of the client too. Sabotage: answer the form
// with a redirect.
for (const javaScriptEnabled of [true, false]) {
  test(`a client that redirects to another host gets there, with scripts ${javaScriptEnabled ? "on" : "off"}`, async () => {
    const { page, context } = await openTab(browser, server, { storageState: owner, javaScriptEnabled });
    const redirect_uri = `${client.redirect}/elsewhere`;
    const asked = await newRequest("Wanderer", { redirect_uri });
    await page.goto(asked.path);
    await page.getByRole("button", { name: "Allow", exact: true }).click();
    await page.getByRole("heading", { name: "You can close this" }).waitFor();
    assert.equal(new URL(page.url()).hostname, "localhost");
    assert.equal((await exchange(asked, redirect_uri)).token_type, "Bearer");
    await context.close();
  });
}

tour(
  () => ({ server, browser, storage: { owner } }),
  () => [
    ["owner", "consent", asked.path, "Let Chart Assistant with a rather long name that goes on and on act for you?"],
    ["owner", "mcp-clients", "/settings/account/security", "Security & access", (page) => page.getByRole("region", { name: "Connected MCP clients" }).scrollIntoViewIfNeeded()],
    ["owner", "mcp-client-revoke", "/settings/account/security", "Security & access", opens("Revoke Notebook")],
    ["owner", "consent-refused", "/oauth/authorize?client_id=unknown", "This client cannot be connected"],
    ["owner", "consent-wrong", `${asked.path}&response_mode=fragment`, "This client cannot be connected"],
  ],
);

test("no frame shows the page", async () => {
  const { page, context } = await openTab(browser, server, { storageState: owner });
  await page.goto("/login");
  const framed = await page.evaluate(async (path) => {
    const frame = document.createElement("iframe");
    frame.src = path;
    document.body.append(frame);
    await new Promise((resolve) => (frame.onload = resolve));
    return frame.contentDocument?.body?.innerText ?? "";
  }, asked.path);
  assert.equal(framed, "");
  await context.close();
});
