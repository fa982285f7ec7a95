// The program, when clients of the ports beside its own take more file descriptors than it has.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { makeAuthority, makePair, TemporaryDirectory } from "../support/certificates.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { type LogEntry, Program } from "../support/program.ts";
import { RawClient } from "../support/raw_client.ts";
import { waitFor } from "../support/wait.ts";

/** One that nobody listens on; the log does not tell where redirects are answered. */
function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  listener.close();
  return listener.addr.port;
}

Deno.test("unfinished heads on the redirect port and at the admin API make room, and every port is served again", async () => {
  // 505 of them took every descriptor for as long as they liked, and HTTPS with them.
  await using backend = HttpBackend.named("served");
  using directory = new TemporaryDirectory();
  const authority = await makeAuthority();
  const redirectFrom = freePort();
  const tls = { ...directory.writePair(await makePair({ authority })), redirectFrom };
  const settings = {
    proxy: { host: "127.0.0.1", port: 0, tls },
    admin: { port: 0 },
    backends: [backend.url],
    timeouts: { header: "60s" },
    health: { type: "none" },
  };
  const config = directory.write("config.json", JSON.stringify(settings));
  await using program = await Program.start(["--config", config, "--engine", "wire", "--workers", "1"], {
    openFiles: 80,
  });
  const clients: RawClient[] = [];
  const [https, admin] = [program.url, program.adminUrl].map((url) => Number(new URL(url).port)) as [number, number];
  const isServed = async (connect: () => Promise<RawClient>) => {
    try {
      using client = await connect();
      const response = await client.request("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
      return response?.status === 200 || response?.status === 308;
    } catch {
      return false; // refused, or cut
    }
  };
  const doors = [
    () => RawClient.connectTls(https, authority),
    () => RawClient.connect(redirectFrom),
    () => RawClient.connect(admin),
  ];
  /** Several at once, so that one does not live on what another one lost. */
  const areServed = async () => {
    const served = doors.flatMap((connect) => Array.from({ length: 5 }, () => isServed(connect)));
    return (await Promise.all(served)).every((is) => is);
  };
  for (const port of [redirectFrom, admin]) {
    for (let count = 0; count < 120; count++) {
      const client = await RawClient.connect(port);
      clients.push(client);
      await client.send("GET / HTTP/1.1\r\nHost: a\r\n").catch(() => {}); // it was cut already
    }
    const { reason } = await program.logged("connection not accepted");
    assertStringIncludes(String(reason), "(os error 24)"); // whichever engine runs, so that it is found in the log
    await waitFor(areServed, { what: `every port to be served beside port ${port}`, timeoutMs: 20_000 });
  }
  for (const client of clients) client.close();
  // While there was no descriptor for a connection to the backend, requests failed for that reason alone.
  const isLack = ({ reason }: LogEntry) => String(reason).includes("Too many open files");
  assertEquals(program.log.filter((line) => line.level === "error" && !isLack(line)), []);
});
