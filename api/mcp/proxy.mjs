// Puts a bearer token before the server, for peers that cannot send one. Names that are not this machine's are passed on as they
// are, so that the server can refuse them: `proxy.mjs URL TOKEN` prints its own address.
import { createServer, request } from "node:http";

const [target, token] = [new URL(process.argv[2]), process.argv[3]];

const server = createServer((incoming, answer) => {
  const own = incoming.headers.host?.startsWith("127.0.0.1:");
  const headers = { ...incoming.headers, authorization: `Bearer ${token}`, host: own ? target.host : incoming.headers.host };
  const passed = request(
    { host: target.hostname, port: target.port, method: incoming.method, path: incoming.url, headers },
    (reply) => {
      answer.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(answer);
    },
  );
  passed.on("error", () => answer.destroy());
  incoming.pipe(passed);
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
