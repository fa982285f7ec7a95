// The program on a unix socket: its flags, its log, its permissions, its signals, and what it does without descriptors.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { get, within } from "../conformance/engine_under_test.ts";
import { TemporaryDirectory } from "../support/certificates.ts";
import { Program, runProgram } from "../support/program.ts";
import type { RawClient } from "../support/raw_client.ts";
import { textOf } from "../support/raw_client.ts";
import { connectTo, SocketBackend, SocketDirectory } from "../support/unix_socket.ts";
import { waitFor } from "../support/wait.ts";

const ENGINES = ["fetch", "wire"] as const;
const OPEN_FILES = 80;

async function served(path: string): Promise<boolean> {
  try {
    using client = await connectTo(path);
    const response = await client.request(get("/", "Connection: close\r\n"));
    return response !== undefined && textOf(response) === "served";
  } catch {
    return false;
  }
}

for (const engine of ENGINES) {
  Deno.test(`${engine}: the program listens on a socket and forwards to one, by flags alone, until a signal ends it`, async () => {
    using directory = new SocketDirectory();
    await using backend = new SocketBackend(directory.at("app"), () => new Response("served"));
    const front = directory.at("front");
    const args = ["--host", `unix:${front}`, "-b", `unix://${directory.at("app")}`, "--admin-port", "0"];
    await using program = await Program.start([...args, "--engine", engine, "--workers", "1", "--health", "tcp"]);
    const ready = await program.logged("ready");
    assertEquals(ready["proxy"], `unix:${front}`);
    assert(await served(front));
    assertEquals((await (await fetch(`${program.adminUrl}/status`)).json()).backends[0].url, backend.url);

    const second = await runProgram([...args, "--engine", engine, "--workers", "1", "--log-format", "json"]);
    assertEquals(second.code, 1);
    assertMatch(
      second.stderr,
      new RegExp(`proxy\\.host: can't listen on unix:${front}: another process listens there`),
    );
    assert(await served(front));

    program.kill("SIGTERM");
    await program.status;
    assertEquals(await served(front), false);
    assertEquals(Array.from(Deno.readDirSync(directory.path), ({ name }) => name), ["app.sock"]);
  });

  Deno.test(`${engine}: a program that was killed leaves a socket, which the next start replaces`, async () => {
    using directory = new SocketDirectory();
    await using backend = new SocketBackend(directory.at("app"), () => new Response("served"));
    const front = directory.at("front");
    const args = [
      "--host",
      `unix:${front}`,
      "-b",
      backend.url,
      "--admin-port",
      "0",
      "--engine",
      engine,
      "--workers",
      "1",
    ];
    const first = await Program.start(args);
    first.kill("SIGKILL");
    await first[Symbol.asyncDispose]();
    assert(Deno.lstatSync(front).isSocket);
    await using program = await Program.start(args);
    assert(await served(front));
    assertEquals(program.log.filter(({ level }) => ["stderr", "error"].includes(level)), []);
  });

  Deno.test(`${engine}: on a socket, clients are served again after file descriptors were missing`, async () => {
    using directory = new SocketDirectory();
    using files = new TemporaryDirectory();
    await using backend = new SocketBackend(directory.at("app"), () => new Response("served"));
    const front = directory.at("front");
    const config = files.write(
      "config.json",
      JSON.stringify({
        engine,
        proxy: { host: `unix:${front}` },
        admin: { port: 0 },
        backends: [backend.url],
        health: { type: "none" },
      }),
    );
    const options = { openFiles: OPEN_FILES };
    await using program = await Program.start(["-c", config, "--engine", engine, "--workers", "1"], options);
    const admin = program.adminUrl;
    using http = Deno.createHttpClient({ poolMaxIdlePerHost: 1 });
    const readiness = async () => {
      const { status, body } = await fetch(`${admin}/readyz`, { client: http });
      await body?.cancel();
      return status;
    };
    assertEquals(await readiness(), 200);
    const clients: RawClient[] = [];
    for (let count = 0; count < 2 * OPEN_FILES; count++) {
      const client = await within(connectTo(front).catch(() => undefined), "a connection");
      if (client !== undefined) clients.push(client);
    }
    await program.logged("connection not accepted");
    for (const client of clients) client.close();
    await waitFor(async () => await readiness() === 200, { what: "/readyz to be 200", timeoutMs: 15_000 });
    await waitFor(() => served(front), { what: "a client that is served", timeoutMs: 15_000 });
    assertEquals((Deno.statSync(front).mode ?? 0) & 0o777, 0o660);
  });
}

Deno.test("with the permissions that docs/installation.md names for sockets, the program listens on one", async () => {
  using directory = new SocketDirectory();
  using files = new TemporaryDirectory();
  await using backend = new SocketBackend(directory.at("app"), () => new Response("served"));
  const root = new URL("../../", import.meta.url).pathname;
  const front = directory.at("front");
  const allowed = `--allow-net --allow-env --allow-read=${root},${directory.path} --allow-write=${directory.path}`;
  const binary = files.write(
    "roundhouse",
    `#!/bin/sh\ncd ${root}\nexec ${Deno.execPath()} run --no-prompt ${allowed} main.ts "$@"\n`,
  );
  Deno.chmodSync(binary, 0o755);
  for (const engine of ENGINES) {
    const args = ["--host", `unix:${front}`, "-b", backend.url, "--admin-port", "0", "--engine", engine];
    await using program = await Program.start([...args, "--workers", "1"], { binary });
    assert(await served(front), engine);
    await waitFor(async () => {
      const { backends } = await (await fetch(`${program.adminUrl}/status`)).json();
      return backends[0].lastCheck?.ok === true;
    }, { what: "a check that passes" });
    program.kill("SIGTERM");
    await program.status;
    assertEquals(await served(front), false);
  }
});
