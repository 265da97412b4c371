// Where the person's browser brings the code, and the program that opens the browser.
import { execFile } from "node:child_process";
import { createServer } from "node:http";

/** Listens for one answer. `url` is where it must be sent, `answer` its parameters. */
export async function callback() {
  let settle;
  const answer = new Promise((resolve) => (settle = resolve));
  const server = createServer((request, response) => {
    settle(new URL(request.url, "http://127.0.0.1").searchParams);
    response.end("done");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}/callback`, answer, close: () => server.close() };
}

export const open = (url) =>
  execFile(process.env.BROWSER, [String(url)], (error, _, said) => error && console.error(said));

/** What a client keeps, as both lines of the SDK ask for it. */
export class Provider {
  kept = {};

  constructor(redirectUrl) {
    this.redirectUrl = redirectUrl;
  }

  get clientMetadata() {
    const grants = ["authorization_code", "refresh_token"];
    return { client_name: "Peer", redirect_uris: [this.redirectUrl], grant_types: grants, response_types: ["code"], token_endpoint_auth_method: "none" };
  }

  state = () => (this.kept.state ??= crypto.randomUUID());
  clientInformation = () => this.kept.client;
  saveClientInformation = (client) => void (this.kept.client = client);
  tokens = () => this.kept.tokens;
  saveTokens = (tokens) => void (this.kept.tokens = tokens);
  redirectToAuthorization = (url) => void open(url);
  saveCodeVerifier = (verifier) => void (this.kept.verifier = verifier);
  codeVerifier = () => this.kept.verifier;
}
