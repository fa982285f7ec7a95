/** `rediss://`: the store over TLS, whose certificate is checked. */

import { assertEquals, assertMatch } from "@std/assert";
import { makeAuthority, makePair, TemporaryDirectory } from "../support/certificates.ts";
import { hasCommand } from "../support/has_command.ts";
import { freePort } from "../support/redis_server.ts";
import { waitFor } from "../support/wait.ts";

/** Connects once in a process of its own, because authorities are read at its start. Prints how that went. */
const PROGRAM = `
import { RedisLink } from "./src/cluster/redis_link.ts";
import { parseRedisUrl } from "./src/config/redis_url.ts";
const never = new AbortController().signal;
try {
  const link = await RedisLink.open(parseRedisUrl(Deno.args[0]), never);
  console.log(await link.call("PING"));
  await link.close();
} catch (error) {
  console.log(error.message);
}
`;

const ROOT = new URL("../../", import.meta.url);

async function connect(url: string, env: Record<string, string>): Promise<string> {
  const args = ["run", "--no-check", "--allow-all", "--config", "deno.json", "-", url];
  const command = new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    env,
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  });
  const process = command.spawn();
  const output = process.output();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(PROGRAM));
  await writer.close();
  return new TextDecoder().decode((await output).stdout).trim();
}

Deno.test({
  name: "cluster: rediss:// checks the store's certificate, by authorities of DENO_CERT, too",
  ignore: !hasCommand("redis-server"),
  async fn() {
    using directory = new TemporaryDirectory();
    const authority = await makeAuthority();
    const { cert, key } = directory.writePair(await makePair({ authority }));
    const ca = directory.write("ca.crt", authority.cert);
    const port = freePort();
    const server = new Deno.Command("redis-server", {
      args: [
        ..."--bind 127.0.0.1 --port 0 --tls-auth-clients no --daemonize no".split(" "),
        ...[
          "--save",
          "",
          "--tls-port",
          `${port}`,
          "--tls-cert-file",
          cert,
          "--tls-key-file",
          key,
          "--tls-ca-cert-file",
          ca,
        ],
      ],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    try {
      await waitFor(() => Deno.connect({ hostname: "127.0.0.1", port }).then((it) => (it.close(), true), () => false), {
        timeoutMs: 20_000,
        what: "redis-server",
      });
      assertEquals(await connect(`rediss://localhost:${port}`, { DENO_CERT: ca }), "PONG");
      assertMatch(await connect(`rediss://localhost:${port}`, {}), /certificate/);
    } finally {
      server.kill("SIGKILL");
      await server.status;
    }
  },
});
