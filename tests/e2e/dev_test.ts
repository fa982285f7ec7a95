// `deno task dev`: the first start was garbled, since four processes downloaded at once and overwrote each other's lines,
// and the ready line was lost among them.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { HAS_TERMINALS, inTerminal, Watched } from "../support/terminal.ts";
import { waitFor } from "../support/wait.ts";
import DENO_JSON from "../../deno.json" with { type: "json" };

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

/** Whether packages can be had from the registry: a first start needs it, and so does `deno cache` of one package. */
async function hasRegistry(folder: string): Promise<boolean> {
  const [zod] = Object.values(DENO_JSON.imports).filter((name) => name.startsWith("npm:zod@"));
  const args = ["cache", "--no-config", "--no-lock", String(zod)];
  const env = { DENO_DIR: `${folder}/one package` };
  const command = new Deno.Command(Deno.execPath(), { args, env, stdout: "null", stderr: "null" });
  return HAS_TERMINALS && (await command.output()).success;
}

Deno.test("dev with an empty cache, in a terminal: all is fetched once, then each line is whole, and the ready line is the last", async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "roundhouse dev " });
  const env = { DENO_DIR: `${folder}/cache`, TERM: "xterm", NO_COLOR: "1" };
  const command = [Deno.execPath(), "run", "-A", SCRIPT, "--any-ports"];
  await t.step({
    name: "in a terminal",
    ignore: !await hasRegistry(folder),
    fn: async () => {
      await using terminal = inTerminal(command, { rows: 24, columns: 400, env });
      const isReady = () => /^dev: ready: .*\r?\n/m.test(terminal.stdout);
      await waitFor(isReady, { what: "the ready line", timeoutMs: 120_000 });
      const [settings = "", ...shown] = terminal.stdout.replaceAll("\r\n", "\n").trimEnd().split("\n");
      assertMatch(settings, /^[0-9a-f:]+$/);
      assertMatch(shown.at(-1) ?? "", /^dev: ready: the proxy is at http:\S+, the dashboard at http:\S+$/);
      const first = shown.findIndex((line) => /^backend \w+ listens on http:\S+$/.test(line));
      assert(first > 0, terminal.stdout);
      const [fetching, running] = [shown.slice(0, first).join("\n"), shown.slice(first).join("\n")];
      assertStringIncludes(fetching, "zod"); // what is being fetched
      assertEquals(/npm:|Download|Initialize/.exec(running), null, terminal.stdout);
      for (const name of ["one", "two", "three"]) {
        assertEquals(running.split("\n").filter((line) => line.startsWith(`backend ${name} listens on `)).length, 1);
      }
      await terminal.type("\x03");
      assertEquals(await terminal.ended(), 0);
      assertMatch(terminal.stdout, /^status 0\r?$/m);
    },
  });
  await Deno.remove(folder, { recursive: true });
});
