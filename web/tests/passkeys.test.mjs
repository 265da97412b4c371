// Passkeys in a real Chromium, whose authenticator is the virtual one of its debugger.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openTab, startBrowser, startServer, totp, violations } from "./harness.mjs";
import { said } from "./wait.mjs";

const OWNER = { name: "Ada Owner", email: "owner@example.com", password: "correct horse battery" };

let server;
let browser;
let tab;
let authenticator;
// One session of the debugger for all: with the end of another the authenticator would be gone.
let devtools;
before(async () => {
  [server, browser] = await Promise.all([startServer(), startBrowser()]);
  tab = await openTab(browser, server);
  const { page } = tab;
  // A phone that makes sure who holds it, and keeps whose its passkeys are.
  devtools = await tab.context.newCDPSession(page);
  await devtools.send("WebAuthn.enable");
  const options = { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true };
  const { authenticatorId } = await devtools.send("WebAuthn.addVirtualAuthenticator", { options });
  authenticator = (command, more = {}) => devtools.send(`WebAuthn.${command}`, { authenticatorId, ...more });

  await page.goto(`/${server.welcome}`);
  await field(page, "Your name").fill(OWNER.name);
  await field(page, "E-mail").fill(OWNER.email);
  await field(page, "Password").fill(OWNER.password);
  await button(page, "Continue").click();
  await heading(page, "Your first website");
  await field(page, "Domain").fill("shop.example.com");
  await button(page, "Add website").click();
  await page.getByText("Waiting for the first event").waitFor();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const heading = (page, name) => page.getByRole("heading", { name, level: 1 }).waitFor();
const field = (page, name) => page.getByLabel(name, { exact: true });
const button = (page, name) => page.getByRole("button", { name, exact: true });

async function signIn(page) {
  await page.goto("/login");
  await field(page, "E-mail").fill(OWNER.email);
  await field(page, "Password").fill(OWNER.password);
  await button(page, "Sign in").click();
}

/** Whoever is signed in sees the security page. */
const isIn = async (page) => {
  await page.waitForURL(({ pathname }) => !pathname.startsWith("/login"));
  await page.goto("/settings/account/security");
  await heading(page, "Security & access");
};

const dialog = (page, name) => page.getByRole("dialog", { name });
const password = (dialog) => dialog.getByRole("textbox", { name: "Password" });

test("a passkey is added with the password, renamed, and known to the device", async () => {
  const { page, context, problems } = tab;
  await page.goto("/settings/account/security");
  await page.getByText("No passkeys yet").waitFor();
  await button(page, "Add a passkey").click();
  const add = dialog(page, "Add a passkey");
  await button(add, "Continue").click();
  await add.getByText("Name it after the device, such as Phone.").waitFor();
  await field(add, "Name").fill("Phone");
  await password(add).fill("wrong horse battery");
  await button(add, "Continue").click();
  await add.getByText("That is not your password.", { exact: false }).waitFor();
  assert.deepEqual(await violations(context, page, { devtools }), []);
  await password(add).fill(OWNER.password);
  await button(add, "Continue").click();
  await said(page, "Passkey added.");
  await page.getByText(/ · never used$/).waitFor();
  const { credentials } = await authenticator("getCredentials");
  assert.deepEqual(credentials.map(({ rpId, isResidentCredential }) => ({ rpId, isResidentCredential })), [{ rpId: "localhost", isResidentCredential: true }]);
  assert.deepEqual(await violations(context, page, { devtools }), []);

  await button(page, "Rename Phone").click();
  await field(dialog(page, "Rename the passkey"), "Name").fill("Old phone");
  await button(dialog(page, "Rename the passkey"), "Rename").click();
  await button(page, "Remove Old phone").waitFor();

  await button(page, "Add a passkey").click();
  await field(add, "Name").fill("Again");
  await password(add).fill(OWNER.password);
  await button(add, "Continue").click();
  await add.getByText("This device has a passkey of this account already.").waitFor();
  await button(add, "Cancel").click();
  assert.deepEqual(problems, []);
});

test("a passkey signs in without a password", async () => {
  const { page, context, problems } = tab;
  await context.clearCookies();
  await page.goto("/login");
  // Nobody agrees: a browser asks for minutes, and then says this.
  await page.evaluate(() => (CredentialsContainer.prototype.get = () => Promise.reject(new DOMException("", "NotAllowedError"))));
  await button(page, "Use a passkey").click();
  await page.getByText("No passkey was used. The browser asked, and nobody agreed.").waitFor();
  assert.deepEqual(await violations(context, page, { devtools }), []);
  await page.goto("/login");
  await button(page, "Use a passkey").click();
  await isIn(page);
  await page.getByText(/ · used (now|\d+m ago)/).waitFor();
  assert.deepEqual(problems, []);
});

test("a passkey follows the password in place of a code", async () => {
  const { page, context, problems } = tab;
  await page.getByRole("button", { name: "Set up the authenticator app" }).click();
  await page.getByText("Type the setup key instead").click();
  const secret = await page.getByLabel("Setup key").innerText();
  await field(page, "Code").fill(totp(secret));
  await password(page.getByRole("dialog")).fill(OWNER.password);
  await button(page, "Turn on").click();
  await page.getByRole("list", { name: "Backup codes" }).waitFor();

  await context.clearCookies();
  await signIn(page);
  await heading(page, "Enter your code");
  assert.deepEqual(await violations(context, page, { devtools }), []);
  await button(page, "Use a passkey").click();
  await isIn(page);
  assert.deepEqual(problems, []);
});

test("a removed passkey signs nobody in", async () => {
  const { page, context, problems } = tab;
  await button(page, "Remove Old phone").click();
  const remove = page.getByRole("alertdialog", { name: "Remove “Old phone”?" });
  await password(remove).fill(OWNER.password);
  await button(remove, "Remove").click();
  await page.getByText("No passkeys yet").waitFor();

  await context.clearCookies();
  await page.goto("/login");
  await button(page, "Use a passkey").click();
  await page.getByText("That passkey does not sign anybody in here.").waitFor();
  await signIn(page);
  await heading(page, "Enter your code");
  assert.equal(await button(page, "Use a passkey").count(), 0, "there is none");
  assert.deepEqual(problems, []);
});

test("where the page has no name no passkeys are offered", async () => {
  const { page, context } = await openTab(browser, { origin: server.address });
  await page.goto("/login");
  await heading(page, "Sign in");
  await button(page, "Sign in").waitFor();
  assert.equal(await button(page, "Use a passkey").count(), 0);
  await context.close();
});
