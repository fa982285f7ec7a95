// SIGUSR2 where it goes wrong: the old process is killed meanwhile, or the configuration has other addresses by then.

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { TemporaryDirectory } from "../support/certificates.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { MAIN, Upgradable } from "../support/upgradable.ts";
import { waitFor } from "../support/wait.ts";

const COMMON = { engine: "wire", health: { path: null } };

/** The status of an answer there. Rejects when nobody listens. */
async function statusAt(port: number, path = "/"): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: "close" } });
  await response.body?.cancel();
  return response.status;
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

for (const workers of [1, 2]) {
  Deno.test(`with ${workers} workers, the new process serves if the old one is killed before it is ready`, async () => {
    // It ended, and nobody served.
    await using backend = HttpBackend.named("served");
    using directory = new TemporaryDirectory();
    const settings = { ...COMMON, proxy: { host: "127.0.0.1", port: 0, workers }, admin: { port: 0 } };
    const config = directory.write("config.json", JSON.stringify({ ...settings, backends: [backend.url] }));
    const gate = `${directory.path}/gate`;
    // A new version that takes long to start.
    const slow = directory.write(
      "slow",
      `#!/bin/sh\nwhile [ ! -e ${gate} ]; do sleep 0.05; done\nexec ${Deno.execPath()} run -A ${MAIN} "$@"\n`,
    );
    Deno.chmodSync(slow, 0o755);
    await using upgradable = await Upgradable.start(["-c", config], { env: { ROUNDHOUSE_EXECUTABLE: slow } });
    const { program, pid } = upgradable;
    const port = Number(new URL(program.url).port);
    upgradable.kill("SIGUSR2");
    await program.logged("upgrade begun");
    Deno.kill(pid, "SIGKILL");
    await program.status;
    const answer = statusAt(port); // the sockets are open still: it waits
    directory.write("config.json", JSON.stringify({ ...settings, backends: [backend.url], log: { access: true } }));
    directory.write("gate", "");
    await waitFor(() => upgradable.lines("ready").length === 2, { what: "the new process", timeoutMs: 60_000 });
    assertEquals(await answer, 200);
    await program.logged("the replaced process has ended early");
    assert(upgradable.pid !== pid);
    for (let asked = 0; asked < 8; asked++) assertEquals(await statusAt(port), 200);
    await upgradable.upgrade(); // it can be replaced in its turn
    assertEquals(await statusAt(port), 200);
    await upgradable.stop();
  });
}

Deno.test("an upgrade moves to addresses that have changed, and says so", async () => {
  // The new process kept the old sockets, and nobody was told.
  await using backend = HttpBackend.named("served");
  using directory = new TemporaryDirectory();
  const write = (port: number, admin: number) => {
    const settings = { ...COMMON, proxy: { host: "127.0.0.1", port }, admin: { port: admin }, backends: [backend.url] };
    return directory.write("config.json", JSON.stringify(settings));
  };
  const [before, after, admin, adminAfter] = [freePort(), freePort(), freePort(), freePort()];
  await using upgradable = await Upgradable.start(["-c", write(before, admin)]);
  write(after, admin);
  await upgradable.upgrade();
  await upgradable.program.logged("address changed", {
    server: "proxy",
    from: `127.0.0.1:${before}`,
    to: `127.0.0.1:${after}`,
  });
  assertEquals(await statusAt(after), 200);
  await waitFor(() => statusAt(before).then(() => false, () => true), { what: "the old port to be closed" });
  assertEquals(await statusAt(admin, "/healthz"), 200);

  write(after, adminAfter);
  await upgradable.upgrade();
  assertEquals([await statusAt(after), await statusAt(adminAfter, "/healthz")], [200, 200]);
  await waitFor(() => statusAt(admin, "/healthz").then(() => false, () => true), { what: "the old admin port's end" });

  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  write(taken.addr.port, adminAfter);
  upgradable.kill("SIGUSR2");
  const { reason } = await upgradable.program.logged("upgrade failed");
  assertStringIncludes(String(reason), `proxy.port: can't listen on 127.0.0.1:${taken.addr.port}`);
  assertEquals([await statusAt(after), await statusAt(adminAfter, "/healthz")], [200, 200]);
  await upgradable.stop();
  await assertRejects(() => statusAt(after));
});
