// A client of another kind: `ab` (Debian's apache2-utils) speaks HTTP/1.0.

import { assertEquals } from "@std/assert";
import { HttpBackend } from "../support/http_backend.ts";
import { Program } from "../support/program.ts";
import { waitFor } from "../support/wait.ts";

const REQUESTS = 5000;
const CONCURRENCY = 16;

/** `-l`: answers of different lengths are no errors. */
async function ab(url: string, flags: readonly string[]): Promise<{ readonly code: number; readonly report: string }> {
  const args = [...flags, "-l", "-q", "-n", String(REQUESTS), "-c", String(CONCURRENCY), `${url}/`];
  const { code, stdout, stderr } = await new Deno.Command("ab", { args }).output();
  return { code, report: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

/** A figure of the report, 0 where it has no such line: `ab` leaves some out when there is nothing to tell. */
function figure(report: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(report)?.[1] ?? 0);
}

function isInstalled(command: string): boolean {
  try {
    return new Deno.Command(command, { args: ["-V"], stdout: "null", stderr: "null" }).outputSync().success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Puts 5,000 requests through the program, 16 at a time, and looks at both ends. */
async function passesAb(options: { readonly keepAlive: boolean }): Promise<void> {
  await using one = HttpBackend.named("one");
  await using two = HttpBackend.named("number two");
  const ports = ["--host", "127.0.0.1", "-p", "0", "--admin-port", "0"];
  await using program = await Program.start(["-b", one.url, "-b", two.url, ...ports]);

  const { code, report } = await ab(program.url, options.keepAlive ? ["-k"] : []);
  assertEquals(code, 0, report);
  const figures = {
    complete: figure(report, "Complete requests"),
    failed: figure(report, "Failed requests"),
    writeErrors: figure(report, "Write errors"),
    not2xx: figure(report, "Non-2xx responses"),
  };
  assertEquals(figures, { complete: REQUESTS, failed: 0, writeErrors: 0, not2xx: 0 }, report);

  const status = async () => await (await fetch(`${program.adminUrl}/status`)).json();
  await waitFor(async () => (await status()).requests.active === 0, { what: "every request to have ended" });
  const { requests, backends } = await status();
  assertEquals([requests.total, requests.failed, requests.retried], [REQUESTS, 0, 0]);
  for (const backend of backends) assertEquals(backend.totalRequests, REQUESTS / 2, backend.url);
}

Deno.test({
  name: `ab gets ${REQUESTS} answers, each over a connection of its own, without an error`,
  ignore: !isInstalled("ab"),
  fn: () => passesAb({ keepAlive: false }),
});

Deno.test({
  name: `ab -k gets ${REQUESTS} answers over kept connections without an error`,
  ignore: !isInstalled("ab"),
  // The runtime closed a kept HTTP/1.0 connection after each streamed answer: half of `ab -k`'s requests met a reset.
  fn: () => passesAb({ keepAlive: true }),
});
