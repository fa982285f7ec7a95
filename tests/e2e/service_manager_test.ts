// What the program tells a service manager (NOTIFY_SOCKET, WATCHDOG_USEC).

import { assert, assertEquals } from "@std/assert";
import { TemporaryDirectory } from "../support/certificates.ts";
import { NotifyListener } from "../support/notify_listener.ts";
import { Program } from "../support/program.ts";
import { waitFor } from "../support/wait.ts";

const ANY_PORTS = ["--host", "127.0.0.1", "--port", "0", "--admin-port", "0"];
const BACKEND = ["-b", "http://127.0.0.1:1999", "--health", "none", ...ANY_PORTS];

Deno.test("a service manager hears READY, RELOADING, READY and STOPPING, in this order", async () => {
  // systemd took the service for ready as soon as the process ran, and started what depends on it too early.
  using directory = new TemporaryDirectory();
  await using manager = new NotifyListener(`${directory.path}/notify`);
  const config = directory.write(
    "config.json",
    JSON.stringify({ backends: ["http://127.0.0.1:1999"], health: { path: null } }),
  );
  await using program = new Program(["-c", config, ...ANY_PORTS], { env: { NOTIFY_SOCKET: manager.name } });
  const ready = await manager.heard("READY", "1");
  await program.logged("ready");
  assert(ready["STATUS"]?.includes(program.url) && ready["STATUS"].includes(program.adminUrl), ready["STATUS"]);

  program.kill("SIGHUP");
  await waitFor(() => manager.with("READY").length === 2, { what: "the end of the reload" });
  assertEquals(manager.with("READY")[1]?.["STATUS"], ready["STATUS"]);

  directory.write("config.json", "{");
  assertEquals(
    await fetch(`${program.adminUrl}/reload`, { method: "POST" }).then(async (answer) => {
      await answer.body?.cancel();
      return answer.status;
    }),
    400,
  );
  await waitFor(() => manager.with("READY").length === 3, { what: "the end of the failed reload" });
  assert(manager.with("READY")[2]?.["STATUS"]?.includes("could not reload"));

  program.kill("SIGTERM");
  assertEquals((await program.status).code, 0);
  await manager.heard("STOPPING", "1");
  const steps = manager.told.flatMap((told) =>
    Object.keys(told).filter((name) => /^[A-Z]+$/.test(name) && name !== "STATUS")
  );
  assertEquals(steps, ["READY", "RELOADING", "READY", "RELOADING", "READY", "STOPPING"]);
});

for (const workers of ["1", "2"]) {
  Deno.test(`the watchdog hears of a program with ${workers} workers, and nothing of one that stands still`, async () => {
    await using manager = new NotifyListener();
    const env = { NOTIFY_SOCKET: manager.name, WATCHDOG_USEC: "200000" };
    await using program = await Program.start([...BACKEND, "--workers", workers], { env });
    const beats = () => manager.with("WATCHDOG").length;
    await waitFor(() => beats() >= 3, { what: "three messages" });
    program.kill("SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, 100)); // what was sent before arrives
    const before = beats();
    await new Promise((resolve) => setTimeout(resolve, 400)); // twice the limit
    assertEquals(beats(), before);
    program.kill("SIGCONT");
    await waitFor(() => beats() > before, { what: "the next message" });
  });
}

Deno.test("a service manager that can't be reached is logged once, and the program serves", async () => {
  const env = { NOTIFY_SOCKET: "/nowhere/notify", WATCHDOG_USEC: "20000" };
  await using program = await Program.start(BACKEND, { env });
  await program.logged("service manager can't be told");
  await new Promise((resolve) => setTimeout(resolve, 50));
  assertEquals(program.log.filter(({ message }) => message === "service manager can't be told").length, 1);
  program.kill("SIGTERM");
  assertEquals((await program.status).code, 0);
});

Deno.test("a watchdog of another process is not fed", async () => {
  await using manager = new NotifyListener();
  const env = { NOTIFY_SOCKET: manager.name, WATCHDOG_USEC: "20000", WATCHDOG_PID: "1" };
  await using program = await Program.start(BACKEND, { env });
  await manager.heard("READY", "1");
  program.kill("SIGTERM");
  await program.status;
  assertEquals(manager.with("WATCHDOG"), []);
});
