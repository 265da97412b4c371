// Serves dist/ in front of a running server: `npm run dev -- http://127.0.0.1:8080`. Beside it, `npm run watch`.
import { createReadStream, existsSync } from "node:fs";
import { createServer, request } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const server = new URL(process.argv[2] ?? "http://127.0.0.1:8080");
const port = Number(process.argv[3] ?? 5173);
const dist = fileURLToPath(new URL("dist/", import.meta.url));
/** Pages of the server that are not of the application, and the documents that are built for them. */
const OTHERS = { "/frame": undefined, "/replay-player": "player.html" };
const TYPES = { ".js": "text/javascript", ".css": "text/css", ".html": "text/html" };

const file = (path) => {
  const found = join(dist, normalize(path));
  return found.startsWith(dist) && extname(found) && existsSync(found) ? found : undefined;
};

createServer((asked, answer) => {
  const { pathname } = new URL(asked.url, server);
  const page = asked.headers.accept?.includes("text/html") && !/^\/(api|e|mcp|docs|oauth|\.well-known)(\/|$)/.test(pathname);
  const found = pathname in OTHERS ? OTHERS[pathname] && file(OTHERS[pathname]) : file(page ? "index.html" : pathname);
  if (found) {
    answer.writeHead(200, { "Content-Type": `${TYPES[extname(found)]}; charset=utf-8`, "Cache-Control": "no-store" });
    createReadStream(found).pipe(answer);
    return;
  }
  const headers = { ...asked.headers, host: server.host };
  // The server takes changes from its own pages alone.
  if (headers.origin) headers.origin = server.origin;
  const passed = request(new URL(asked.url, server), { method: asked.method, headers }, (reply) => {
    answer.writeHead(reply.statusCode, reply.headers);
    reply.pipe(answer);
  });
  passed.on("error", () => answer.writeHead(502).end());
  answer.on("close", () => passed.destroy());
  asked.pipe(passed);
}).listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${port} in front of ${server.origin}`));
