/**
 * A long run of the real program under mixed load from clients and backends that misbehave, on 127.0.0.1 only.
 *
 *     deno run -A scripts/soak.ts [--minutes 10 | --seconds N] [--engine fetch] [--seed N]
 *
 * Says PASS and ends with status 0 when every answer belonged to its request, every count is back at 0, memory is back
 * near where it was, nothing went uncaught and the program stopped cleanly; says what was wrong and ends with 1 if not.
 */
import { parseArgs } from "@std/cli/parse-args";
import { Actor, type ActorOptions, Tally } from "../tests/support/raw_actor.ts";
import { refusedUrl } from "../tests/support/raw_backend.ts";
import { badBackend, goodBackend } from "../tests/support/raw_misbehaving.ts";
import { waitFor } from "../tests/support/wait.ts";

const MAIN = new URL("../main.ts", import.meta.url).href;
const ACTORS = 24;
const PROGRESS_MS = 10_000;
/** By then the program has met everything; what it holds from here on should stay about the same. */
const WARM_UP_MS = 60_000;
/** Well past `timeouts.shutdown`. */
const STOP_LIMIT_MS = 30_000;
const MEGABYTE = 1024 * 1024;
/** At rest the program may hold this much more than after its warm-up, or half as much again. */
const MEMORY_SLACK_BYTES = 64 * MEGABYTE;

const usage = "usage: deno run -A scripts/soak.ts [--minutes N | --seconds N] [--engine NAME] [--seed N]";

interface Options {
  readonly durationMs: number;
  readonly engine: string;
  readonly seed: number;
}

/** Random numbers that a second run can have again (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const pause = (ms: number) => new Promise<undefined>((resolve) => setTimeout(resolve, ms, undefined));

/** What the runtime itself writes, whatever the program does: of its own configuration, of a peer that broke HTTP. */
const RUNTIME_NOTES = [
  "Warning Permissions in the config file",
  "Download http",
  "Error polling connection:",
  "[Error: response cut",
];

/** The program under load, and what it said that it should not have. */
class Soaked {
  readonly suspicious: string[] = [];
  readonly status: Promise<Deno.CommandStatus>;
  readonly #child: Deno.ChildProcess;
  readonly #ready = Promise.withResolvers<{ readonly proxy: string; readonly admin: string }>();
  readonly #read: Promise<void>;

  constructor(configPath: string) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-P", MAIN, "--config", configPath, "--log-format", "json"],
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.status = this.#child.status;
    this.#read = this.#readLog();
    this.#ready.promise.catch(() => {}); // whoever waits for it hears of it
    this.status.then(async ({ code }) => {
      await this.#read;
      this.#ready.reject(new Error(`the program ended with status ${code}: ${this.suspicious.join("\n")}`));
    });
  }

  ready(): Promise<{ readonly proxy: string; readonly admin: string }> {
    return this.#ready.promise;
  }

  /** Bytes of memory in use. */
  async memory(): Promise<number> {
    const ps = new Deno.Command("ps", { args: ["-o", "rss=", "-p", String(this.#child.pid)] });
    return Number(new TextDecoder().decode((await ps.output()).stdout)) * 1024;
  }

  /** Asks it to stop; returns its exit status, `undefined` when it does not end in time. */
  async stop(): Promise<number | undefined> {
    this.#child.kill("SIGTERM");
    const code = await Promise.race([this.status.then((status) => status.code), pause(STOP_LIMIT_MS)]);
    if (code === undefined) await this.kill();
    await this.#read;
    return code;
  }

  async kill(): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // it has ended already
    }
    await this.#read;
  }

  async #readLog(): Promise<void> {
    let rest = "";
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#heard(line);
    }
    if (rest !== "") this.#heard(rest);
  }

  #heard(line: string): void {
    if (line === "" || RUNTIME_NOTES.some((note) => line.startsWith(note))) return;
    const entry = line.startsWith("{") ? JSON.parse(line) : undefined;
    if (entry?.message === "ready") this.#ready.resolve(entry);
    const wrong = entry === undefined || entry.level === "error" || /unhandled|uncaught/i.test(line);
    if (wrong && this.suspicious.length < 20) this.suspicious.push(line.slice(0, 300));
  }
}

interface Status {
  readonly requests: { readonly total: number; readonly active: number; readonly queued: number };
  readonly backends: readonly { readonly url: string; readonly currentConnections: number }[];
}

async function statusOf(admin: string): Promise<Status> {
  return await (await fetch(`${admin}/status`)).json();
}

function readOptions(args: string[]): Options {
  const flags = parseArgs(args, {
    string: ["minutes", "seconds", "engine", "seed"],
    unknown: (arg) => {
      throw new Error(`unknown argument ${arg}`);
    },
  });
  const number = (name: string, fallback: number) => {
    const value = flags[name] === undefined ? fallback : Number(flags[name]);
    if (!Number.isFinite(value) || value < 0) throw new Error(`--${name} wants a number, not ${flags[name]}`);
    return value;
  };
  return {
    durationMs: flags["seconds"] === undefined ? number("minutes", 10) * 60_000 : number("seconds", 0) * 1000,
    engine: typeof flags["engine"] === "string" ? flags["engine"] : "fetch",
    seed: number("seed", Date.now() % 1_000_000),
  };
}

/** Runs it all; returns what was wrong. */
async function soak({ durationMs, engine, seed }: Options): Promise<string[]> {
  const random = seeded(seed);
  await using good = goodBackend(random, 0);
  await using slow = goodBackend(random, 200);
  await using bad = badBackend(random);
  await using worse = badBackend(random);
  const backends = [good.url, { url: slow.url, weight: 2 }, bad.url, worse.url, refusedUrl()];
  const directory = await Deno.makeTempDir({ prefix: "roundhouse-soak-" });
  const configPath = `${directory}/config.json`;
  await Deno.writeTextFile(
    configPath,
    JSON.stringify({
      proxy: { host: "127.0.0.1", port: 0, maxBodySize: "1MiB" },
      admin: { port: 0 },
      backends,
      engine,
      health: { type: "tcp", interval: "1s", timeout: "500ms" },
      timeouts: { connect: "500ms", response: "1s", shutdown: "10s" },
      retries: { statuses: [503] },
      log: { level: "info" },
    }),
  );
  const program = new Soaked(configPath);
  try {
    return await watch(program, { durationMs, random, uploadsMayHang: engine === "fetch" });
  } finally {
    await program.kill();
    await Deno.remove(directory, { recursive: true });
  }
}

type WatchOptions = Pick<ActorOptions, "random" | "uploadsMayHang"> & Pick<Options, "durationMs">;

async function watch(program: Soaked, { durationMs, random, uploadsMayHang }: WatchOptions): Promise<string[]> {
  const wrongs: string[] = [];
  const { proxy, admin } = await program.ready();
  const tally = new Tally();
  const stop = new AbortController();
  const port = Number(new URL(proxy).port);
  const shared = { port, random, tally, uploadsMayHang };
  const actors = Array.from(
    { length: ACTORS },
    (_, index) => new Actor({ name: `a${index}`, ...shared }).run(stop.signal),
  );

  const startedAt = performance.now();
  const warmUpMs = Math.min(WARM_UP_MS, durationMs / 4);
  let start = 0;
  let peak = 0;
  let spoken = startedAt;
  for (let now = startedAt; now - startedAt < durationMs; now = performance.now()) {
    await pause(Math.min(500, durationMs / 10));
    const memory = await program.memory();
    peak = Math.max(peak, memory);
    if (now - startedAt >= warmUpMs) start ||= memory;
    if (now - spoken < PROGRESS_MS) continue;
    spoken = now;
    const seconds = Math.round((now - startedAt) / 1000);
    console.log(`${seconds} s: ${tally.actions} actions, ${megabytes(memory)}, ${tally.wrongs.length} wrong`);
  }
  stop.abort();
  await Promise.all(actors);
  console.log("the clients have left");

  const isIdle = ({ requests, backends }: Status) =>
    requests.active === 0 && requests.queued === 0 &&
    backends.every(({ currentConnections }) => currentConnections === 0);
  await waitFor(async () => isIdle(await statusOf(admin)), { what: "every count to be 0", timeoutMs: 15_000 })
    .catch(async () => wrongs.push(`counts are not 0: ${JSON.stringify(await statusOf(admin))}`));
  const most = start + Math.max(MEMORY_SLACK_BYTES, start / 2);
  await waitFor(async () => await program.memory() <= most, { what: "memory to be given back", timeoutMs: 15_000 })
    .catch(() => wrongs.push("memory is not back near its start"));
  const end = await program.memory();
  const { requests } = await statusOf(admin);

  console.log("stopping");
  const code = await program.stop();
  if (code !== 0) wrongs.push(code === undefined ? "SIGTERM did not end it" : `SIGTERM ended it with status ${code}`);
  for (const line of program.suspicious) wrongs.push(`stderr: ${line}`);
  if (requests.total === 0) wrongs.push("no request reached the proxy");
  const kinds = new Map<string, number>();
  for (const wrong of tally.wrongs) kinds.set(wrong, (kinds.get(wrong) ?? 0) + 1);
  for (const [wrong, count] of [...kinds].slice(0, 20)) wrongs.push(count === 1 ? wrong : `${wrong} (${count} times)`);

  console.log(`${tally.actions} actions of clients, ${requests.total} requests: ${tally.summary}`);
  console.log(`memory: ${megabytes(start)} at the start, ${megabytes(peak)} at most, ${megabytes(end)} at the end`);
  return wrongs;
}

function megabytes(bytes: number): string {
  return `${(bytes / MEGABYTE).toFixed(0)} MiB`;
}

if (import.meta.main) {
  let options: Options;
  try {
    options = readOptions(Deno.args);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${usage}`);
    Deno.exit(2);
  }
  console.log(`engine ${options.engine}, ${options.durationMs / 1000} s, seed ${options.seed}`);
  const wrongs = await soak(options).catch((error) => [String(error)]);
  for (const wrong of wrongs) console.log(`wrong: ${wrong}`);
  console.log(wrongs.length === 0 ? "PASS" : "FAIL");
  Deno.exit(wrongs.length === 0 ? 0 : 1);
}
