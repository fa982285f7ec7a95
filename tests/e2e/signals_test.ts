// Signals, from the program's first statement on.

import { assertEquals } from "@std/assert";
import { Program } from "../support/program.ts";
import { waitFor } from "../support/wait.ts";

/** The last signal that the program sets a handler for. The runtime itself sets handlers for some signals, not for it. */
const SIGUSR2 = 12;

const ANY_PORTS = ["--host", "127.0.0.1", "--port", "0", "--admin-port", "0"];
const BACKEND = ["-b", "http://10.0.0.1", ...ANY_PORTS];

/** Whether a process has a handler for a signal, as Linux tells it. */
function catches(pid: number, signal: number): boolean {
  // Before the child becomes the program, it is a copy of this process, with this process's handlers.
  if (!Deno.readTextFileSync(`/proc/${pid}/cmdline`).includes("main.ts")) return false;
  const [, mask = "0"] = Deno.readTextFileSync(`/proc/${pid}/status`).match(/^SigCgt:\s*([0-9a-f]+)$/m) ?? [];
  return (BigInt(`0x${mask}`) >> BigInt(signal - 1) & 1n) === 1n;
}

for (const workers of ["1", "2"]) {
  Deno.test(`signals during the start are kept or end nothing (--workers ${workers})`, async () => {
    // The handlers came last: a SIGHUP between the first log line and "ready" ended the program, as deployments met it.
    await using program = new Program([...BACKEND, "--workers", workers]);
    await program.logged("backend added");
    for (const signal of ["SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const) program.kill(signal);
    await program.logged("reload");
    const messages = program.log.map(({ message }) => message);
    assertEquals(messages.indexOf("ready") < messages.indexOf("reload"), true);
    for (const signal of ["SIGQUIT", "SIGUSR1", "SIGUSR2"] as const) program.kill(signal);
    assertEquals((await fetch(`${program.adminUrl}/healthz`).then((response) => response.text())).length > 0, true);
    program.kill("SIGTERM");
    assertEquals((await program.status).code, 0);
  });

  Deno.test(`SIGTERM during the start stops cleanly (--workers ${workers})`, async () => {
    await using program = new Program([...BACKEND, "--workers", workers]);
    await program.logged("backend added");
    program.kill("SIGTERM");
    const { code, signal } = await program.status;
    assertEquals([code, signal], [0, null]);
    await program.logged("stopped");
  });
}

Deno.test("SIGTERM ends a start that waits for its configuration on standard input", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-P", new URL("../../main.ts", import.meta.url).href, "-c", "-", ...ANY_PORTS],
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  await waitFor(() => catches(child.pid, SIGUSR2), { what: "its signal handlers", timeoutMs: 20_000 });
  child.kill("SIGTERM");
  const { code } = await child.status;
  await child.stdin.close().catch(() => {});
  assertEquals(code, 0);
});
