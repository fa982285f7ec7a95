/** The program under load, and the checks after the load has ended. */

import { type LogEntry, Program } from "../../tests/support/program.ts";
import { waitFor } from "../../tests/support/wait.ts";
import { type Doors, portOf } from "./doors.ts";

/** Much longer than `timeouts.shutdown`. */
const STOP_LIMIT_MS = 30_000;
const SETTLE_LIMIT_MS = 20_000;
const MEGABYTE = 1024 * 1024;
/** At rest, the program may use this much more memory than after the warm-up, or half as much again. */
const REST_SLACK_BYTES = 64 * MEGABYTE;
/** The most memory under load. */
const MOST_BYTES = 1024 * MEGABYTE;

/** Parts of the runtime's and Node.js's messages when file descriptors have run out. */
const OUT_OF_FILES = /os error 24|EMFILE/;

/**
 * Messages of the runtime itself, which the program can't prevent: a backend broke HTTP when a WebSocket was requested.
 */
const RUNTIME_NOTES = ["Download http", "Error polling connection:"];

export interface SoakedOptions {
  readonly engine: string;
  /** The path of the configuration file. */
  readonly config: string;
  readonly openFiles: number | undefined;
  /** URLs of backends that always behave well, and so must never be marked down. */
  readonly healthy: readonly string[];
}

interface Status {
  readonly requests: { readonly total: number; readonly active: number; readonly queued: number };
  readonly pools: Readonly<Record<string, { readonly backends: readonly { readonly currentConnections: number }[] }>>;
}

export class Soaked implements AsyncDisposable {
  readonly #program: Program;
  readonly #healthy: readonly string[];
  readonly #openFiles: number | undefined;
  #rested = 0;
  #peak = 0;
  #mostDescriptors = 0;

  private constructor(program: Program, { healthy, openFiles }: SoakedOptions) {
    this.#program = program;
    this.#healthy = healthy;
    this.#openFiles = openFiles;
  }

  static async start(options: SoakedOptions): Promise<Soaked> {
    const { engine, config, openFiles } = options;
    const args = ["--config", config, "--engine", engine];
    const program = await Program.start(args, openFiles === undefined ? {} : { openFiles });
    return new Soaked(program, options);
  }

  doors(beside: Omit<Doors, "proxy" | "admin">): Doors {
    return { proxy: portOf(this.#program.url), admin: portOf(this.#program.adminUrl), ...beside };
  }

  /** Returns a target that the strategy `uri-hash` sends to this backend. */
  async targetAt(path: string, url: string): Promise<string> {
    for (let number = 0; number < 1000; number++) {
      const target = `${path}/${number}`;
      const { backend } = await (await fetch(`${this.#program.adminUrl}/explain?path=${encodeURIComponent(target)}`))
        .json();
      if (backend?.url === url) return target;
    }
    throw new Error(`no request for ${path} reaches ${url}`);
  }

  /**
   * Looks at the memory and the file descriptors in use. Memory at rest is compared with the first look after the
   * warm-up.
   */
  async look(isWarm: boolean): Promise<void> {
    const now = await this.#memory();
    this.#peak = Math.max(this.#peak, now);
    if (isWarm) this.#rested ||= now;
    const descriptors = Array.from(Deno.readDirSync(`/proc/${this.#program.pid}/fd`)).length;
    this.#mostDescriptors = Math.max(this.#mostDescriptors, descriptors);
  }

  get memory(): string {
    return `${megabytes(this.#rested)} after the warm-up, ${megabytes(this.#peak)} at most`;
  }

  /** Waits until `/readyz` is 200, as it should be after earlier hostile clients have left. */
  async ready(): Promise<string[]> {
    const isReady = async () => {
      const response = await fetch(`${this.#program.adminUrl}/readyz`).catch(() => undefined);
      await response?.body?.cancel();
      return response?.status === 200;
    };
    return await failure(waitFor(isReady, { what: "/readyz to be 200", timeoutMs: SETTLE_LIMIT_MS }));
  }

  /** Returns what is wrong after all clients have left. Ends the program. */
  async end(): Promise<string[]> {
    const wrongs: string[] = await failure(
      waitFor(() => this.#isIdle(), { what: "every count to be 0", timeoutMs: SETTLE_LIMIT_MS }),
    );
    if (wrongs.length > 0) wrongs.push(`counts: ${JSON.stringify(await this.#status()).slice(0, 2000)}`);
    const most = this.#rested + Math.max(REST_SLACK_BYTES, this.#rested / 2);
    const isSmall = async () => await this.#memory() <= most;
    wrongs.push(
      ...await failure(
        waitFor(isSmall, { what: `memory to be below ${megabytes(most)}`, timeoutMs: SETTLE_LIMIT_MS }),
      ),
    );
    if (this.#peak > MOST_BYTES) wrongs.push(`${megabytes(this.#peak)} of memory under load`);
    const { requests } = await this.#status();
    console.log(`  ${requests.total} requests; memory: ${this.memory}, ${megabytes(await this.#memory())} at the end`);
    if (requests.total === 0) wrongs.push("no request reached the proxy");
    wrongs.push(...this.#descriptors());
    this.#tellFailures();
    wrongs.push(...await this.#stop(), ...this.#said());
    return wrongs;
  }

  async #stop(): Promise<string[]> {
    this.#program.kill("SIGTERM");
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<undefined>((resolve) => timer = setTimeout(resolve, STOP_LIMIT_MS, undefined));
    const status = await Promise.race([this.#program.status, late]);
    clearTimeout(timer);
    if (status === undefined) return ["SIGTERM did not end it"];
    return status.code === 0 ? [] : [`SIGTERM ended it with status ${status.code}`];
  }

  /** Prints how many file descriptors were used. Returns what is wrong if they should have run out and did not. */
  #descriptors(): string[] {
    const refused =
      this.#program.log.filter(({ message, reason }) =>
        message === "connection not accepted" && OUT_OF_FILES.test(String(reason))
      ).length;
    const limit = this.#openFiles === undefined ? "" : ` of ${this.#openFiles}`;
    console.log(`  descriptors: ${this.#mostDescriptors}${limit} at most; ${refused} log lines that they ran out`);
    return this.#openFiles === undefined || refused > 0 ? [] : ["its descriptors never ran out"];
  }

  /** Prints why attempts failed, and how often. This is not wrong, because clients and backends break off. */
  #tellFailures(): void {
    const times = new Map<string, number>();
    for (const { message, code, reason } of this.#program.log) {
      if (message !== "attempt failed" && message !== "response cut") continue;
      const line = `${message}: ${code}, ${String(reason).slice(0, 100)}`;
      times.set(line, (times.get(line) ?? 0) + 1);
    }
    for (const [line, count] of Array.from(times).slice(0, 10)) console.log(`  ${count} log lines "${line}"`);
  }

  /** Returns log lines that should not be there. */
  #said(): string[] {
    const isBlame = ({ message, backend }: LogEntry) =>
      message === "backend down" && this.#healthy.includes(String(backend));
    const isWrong = (entry: LogEntry) =>
      isBlame(entry) || entry.level === "error" || entry.level === "stderr" ||
      /unhandled|uncaught/i.test(entry.message);
    const isNote = ({ message }: LogEntry) => RUNTIME_NOTES.some((note) => message.startsWith(note));
    return this.#program.log.filter((entry) => isWrong(entry) && !isNote(entry))
      .slice(0, 20).map((entry) => `log: ${JSON.stringify(entry).slice(0, 400)}`);
  }

  async #isIdle(): Promise<boolean> {
    const { requests, pools } = await this.#status();
    return requests.active === 0 && requests.queued === 0 &&
      Object.values(pools).flatMap(({ backends }) => backends).every(({ currentConnections }) =>
        currentConnections === 0
      );
  }

  async #status(): Promise<Status> {
    return await (await fetch(`${this.#program.adminUrl}/status`)).json();
  }

  /** Bytes of memory in use. */
  async #memory(): Promise<number> {
    const ps = new Deno.Command("ps", { args: ["-o", "rss=", "-p", String(this.#program.pid)] });
    return Number(new TextDecoder().decode((await ps.output()).stdout)) * 1024;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
  }
}

/** Returns nothing if the wait succeeds, otherwise the reason. */
async function failure(waiting: Promise<void>): Promise<string[]> {
  return await waiting.then(() => [], (error) => [error instanceof Error ? error.message : String(error)]);
}

function megabytes(bytes: number): string {
  return `${(bytes / MEGABYTE).toFixed(0)} MiB`;
}
