// One upload in 30,000 chunks of one byte took 1.4 GB from the proxy under engine `fetch`: each kept the 64 KiB of its read.

import { assertEquals, assertLess } from "@std/assert";
import { RawBackend, refusedUrl } from "../support/raw_backend.ts";
import { waitFor } from "../support/wait.ts";
import { Program } from "../support/program.ts";
import { RawClient, textOf } from "../support/raw_client.ts";

const CHUNKS = 50_000;
const MOST_BYTES = 100 * 1024 * 1024;

/** The most memory that a process has had. */
async function peakBytes(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

for (const engine of ["fetch", "wire"] as const) {
  Deno.test({
    name: `engine ${engine}: an upload in ${CHUNKS} chunks of one byte takes no more memory than others`,
    ignore: Deno.build.os !== "linux",
    async fn() {
      const sent = Promise.withResolvers<void>();
      await using backend = new RawBackend(async (connection) => {
        if (!await connection.head()) return;
        if (connection.received.startsWith("GET")) return connection.send("HTTP/1.1 204 No Content\r\n\r\n"); // a check
        await sent.promise; // until then nobody takes anything from the proxy
        await connection.until("0\r\n\r\n");
        await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole");
      });
      using _ = { [Symbol.dispose]: sent.resolve };
      const ports = ["--host", "127.0.0.1", "-p", "0", "--admin-port", "0"];
      await using program = await Program.start(["-b", backend.url, ...ports, "--engine", engine]);
      using client = await RawClient.connect(Number(new URL(program.url).port));
      const before = await peakBytes(program.pid);
      await client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
      const block = "1\r\nx\r\n".repeat(1000);
      for (let chunk = 0; chunk < CHUNKS; chunk += 1000) await client.send(block);
      sent.resolve();
      await client.send("0\r\n\r\n");
      const response = await client.response();
      assertEquals(response && textOf(response), "whole");
      assertLess(await peakBytes(program.pid) - before, MOST_BYTES);
    },
  });
}

// A request that waited for `auth.forward` held 91 KB, and an answer in chunks of one byte ten megabytes.
for (const engine of ["fetch", "wire"] as const) {
  Deno.test({
    name: `engine ${engine}: requests that wait for auth.forward take little memory, however the server answers`,
    ignore: Deno.build.os !== "linux",
    async fn() {
      let asked = 0;
      let begun = 0;
      let answers = false;
      const go = Promise.withResolvers<void>();
      await using auth = new RawBackend(async (connection) => {
        if (!await connection.head()) return;
        asked++;
        if (!answers) return connection.toEnd();
        await connection.send("HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n");
        const block = "1\r\nx\r\n".repeat(1000);
        for (let chunk = 0; chunk < 60_000; chunk += 1000) await connection.send(block);
        begun++;
        await go.promise; // the last bytes are on their way by then
        await connection.send("0\r\n\r\n");
        await connection.toEnd();
      });
      using _ = { [Symbol.dispose]: go.resolve };
      const file = await Deno.makeTempFile({ suffix: ".json" });
      const config = {
        engine,
        backends: [refusedUrl()],
        health: { type: "none" },
        auth: { forward: auth.url, timeout: "5m" },
        proxy: { host: "127.0.0.1", port: 0, workers: 1 },
        admin: { port: 0 },
      };
      await Deno.writeTextFile(file, JSON.stringify(config));
      await using program = await Program.start(["--config", file]);
      const port = Number(new URL(program.url).port);
      const ask = async (): Promise<RawClient> => {
        const client = await RawClient.connect(port);
        await client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        return client;
      };
      const first = await ask();
      await waitFor(() => asked === 1, { what: "the first question" });
      const before = await peakBytes(program.pid);
      const held: RawClient[] = [first];
      for (let count = 1; count < 1000; count++) held.push(await ask());
      await waitFor(() => asked === held.length, { what: "all questions" });
      assertLess(await peakBytes(program.pid) - before, 85 * 1024 * 1024);
      for (const client of held) client.close();
      answers = true;
      const between = await peakBytes(program.pid);
      const told: RawClient[] = [];
      for (let count = 0; count < 40; count++) told.push(await ask());
      await waitFor(() => begun === told.length, { what: "the answers" });
      go.resolve();
      for (const client of told) assertEquals((await client.response())?.body.length, 60_000);
      for (const client of told) client.close();
      assertLess(await peakBytes(program.pid) - between, 150 * 1024 * 1024);
      await Deno.remove(file);
    },
  });
}
