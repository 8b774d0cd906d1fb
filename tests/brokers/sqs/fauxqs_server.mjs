// SQS of fauxqs on a free port of 127.0.0.1. `fauxqs_server.mjs FOLDER [HOST:PORT]`: the folder whose node_modules has it; the name under which all
// queues are known, whatever name a request came to. Prints its port once it serves.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import path from "node:path";

const folder = path.resolve(process.argv[2], "node_modules/fauxqs");
const { main } = JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8"));
const { buildApp } = await import(pathToFileURL(path.join(folder, main)));
const app = buildApp({ logger: false, host: "127.0.0.1" });
if (process.argv[3])
  app.addHook("onRequest", (request, _, done) => {
    request.headers.host = process.argv[3];
    done();
  });
await app.listen({ host: "127.0.0.1", port: 0 });
console.log(app.server.address().port);
