// `deno task dev`: the first start was garbled, since four processes downloaded at once and overwrote each other's lines,
// and the ready line was lost among them.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Watched } from "../support/terminal.ts";
import { waitFor } from "../support/wait.ts";

const SCRIPT = new URL("../../scripts/dev.ts", import.meta.url).href;

/** A running `deno task dev` with free ports. */
class Dev implements AsyncDisposable {
  readonly #watched: Watched;

  private constructor(args: readonly string[]) {
    this.#watched = new Watched([Deno.execPath(), "run", "-A", SCRIPT, "--any-ports", ...args]);
  }

  static async start(...args: readonly string[]): Promise<Dev> {
    const dev = new Dev(args);
    await waitFor(() => dev.output.includes("dev: ready: "), { what: "the ready line", timeoutMs: 60_000 });
    return dev;
  }

  get output(): string {
    return this.#watched.stderr;
  }

  /** The proxy's and the dashboard's URLs, as the ready line has them. */
  get urls(): readonly [proxy: string, admin: string] {
    const [, proxy = "", admin = ""] = /proxy is at (\S+), the dashboard at (\S+)/.exec(this.output) ?? [];
    return [proxy, admin];
  }

  async answer(path: string, headers: Record<string, string> = {}): Promise<string> {
    return (await (await fetch(`${this.urls[0]}${path}`, { headers })).json()).backend;
  }

  async interrupt(): Promise<number> {
    this.#watched.kill("SIGINT");
    return await this.#watched.ended();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.interrupt().catch(() => {}); // it has ended already
    await this.#watched[Symbol.asyncDispose]();
  }
}

Deno.test("dev: lines are whole, the ready line is the last, and Ctrl-C leaves nothing behind", async () => {
  await using dev = await Dev.start();
  const lines = dev.output.trimEnd().split("\n");
  assertMatch(lines.at(-1) ?? "", /^dev: ready: the proxy is at http:\S+, the dashboard at http:\S+$/);
  for (const name of ["one", "two", "three"]) {
    assert(lines.some((line) => line.startsWith(`backend ${name} listens on http://`)), dev.output);
  }
  assert(lines.some((line) => / INFO {2}ready proxy=http:/.test(line)), dev.output);
  assertStringIncludes(dev.output, "\nTry:\n");
  assertEquals([await dev.answer("/"), await dev.answer("/"), await dev.answer("/")], ["one", "two", "three"]);
  const [proxy, admin] = dev.urls;
  assertEquals(await dev.interrupt(), 0);
  assert(!dev.output.includes("to start it again"), dev.output);
  for (const url of [proxy, admin]) {
    assertEquals(await fetch(url).then(() => "open", () => "closed"), "closed");
  }
});

Deno.test("dev --routes: two pools and a canary", async () => {
  await using dev = await Dev.start("--routes");
  assertEquals(await dev.answer("/"), "one");
  assert(["four", "five", "six"].includes(await dev.answer("/api/users")));
  assertEquals(await dev.answer("/api/users", { "x-beta": "1" }), "six");
  const robots = await fetch(`${dev.urls[0]}/robots.txt`);
  assertEquals([robots.status, await robots.text()], [200, "User-agent: *\nDisallow: /\n"]);
  const moved = await fetch(`${dev.urls[0]}/old/page`, { redirect: "manual" });
  await moved.body?.cancel();
  assertEquals([moved.status, moved.headers.get("location")], [302, "/"]);
  for (const hint of ["/api/users", "/explain?url=", "/routes"]) assertStringIncludes(dev.output, hint);
});

Deno.test("dev refuses unknown options with status 2, and names its own", async () => {
  await using wrong = new Watched([Deno.execPath(), "run", "-A", SCRIPT, "--rutes"]);
  assertEquals(await wrong.ended(), 2);
  assertMatch(wrong.stderr, /^unknown argument --rutes\nusage: deno task dev .*\n {2}--routes /);
});
