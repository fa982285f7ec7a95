// The program when the system has no more to give it.

import { assertEquals } from "@std/assert";
import { get, within } from "../conformance/engine_under_test.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { Program } from "../support/program.ts";
import { RawClient, textOf } from "../support/raw_client.ts";
import { waitFor } from "../support/wait.ts";

Deno.test("engine wire without file descriptors: the backend is not blamed, and with descriptors all goes on", async () => {
  // A proxy that ran into its limit of open files took every backend out, which had nothing to do with it.
  await using backend = HttpBackend.named("served");
  using directory = {
    path: Deno.makeTempDirSync(),
    [Symbol.dispose]() {
      Deno.removeSync(this.path, { recursive: true });
    },
  };
  const config = `${directory.path}/config.json`;
  const settings = { health: { type: "none" }, proxy: { host: "127.0.0.1", port: 0 }, admin: { port: 0 } };
  Deno.writeTextFileSync(config, JSON.stringify({ ...settings, backends: [backend.url] }));
  await using program = await Program.start(["--config", config, "--engine", "wire"], { openFiles: 80 });
  const port = Number(new URL(program.url).port);
  const clients = await Promise.all(Array.from({ length: 120 }, () => RawClient.connect(port)));
  await program.logged("connection not accepted");
  // Some of them were let in; none of these gets through to a backend now.
  const answer = await within(
    Promise.any(clients.map(async (client) => {
      const response = await client.request(get("/"));
      return response ?? Promise.reject(new Error("closed"));
    })),
    "an answer",
  );
  assertEquals(answer.status, 500);
  for (const client of clients) client.close();

  await waitFor(async () => {
    using client = await RawClient.connect(port);
    const response = await client.request(get("/"));
    return response !== undefined && textOf(response) === "served";
  }, { what: "a request to be served" });
  const { backends } = await (await fetch(`${program.adminUrl}/status`)).json();
  assertEquals([backends[0].alive, backends[0].totalFailures], [true, 0]);
});
