/** Where the measuring takes place: backends, a certificate, and subjects that run. */
import { type Backend, startBackends } from "./backends.ts";
import { makeCertificate } from "./certificate.ts";
import { findProgram, freePorts, run, ServerProcess } from "./processes.ts";
import type { Pace } from "./scenario.ts";
import type { CertificateFiles, Subject } from "./subject.ts";

/** How a subject is set up, beyond its own nature. */
export interface Setup {
  /** HTTPS in front. */
  readonly secure?: boolean;
  /** Health checks and retries. */
  readonly watchful?: boolean;
  /** The ports of its backends; default: those of the ground. */
  readonly backends?: readonly number[];
}

/** A subject that listens; disposing of it ends it. */
export interface Running extends AsyncDisposable {
  readonly pid: number;
  readonly port: number;
  /** Without a slash at its end. */
  readonly origin: string;
}

/** Owns whatever was started on it: when it is disposed of, no process and no file is left. */
export class Ground implements AsyncDisposable {
  readonly pace: Pace;
  readonly signal: AbortSignal;
  /** Clock ticks that make a second of CPU time. */
  readonly ticksPerSecond: number;
  /** The path of wrk. */
  readonly wrk: string;
  /** For files of whoever needs some. */
  readonly directory: string;
  readonly backends: readonly Backend[];
  readonly certificate: CertificateFiles;
  readonly #stack: AsyncDisposableStack;
  readonly #running = new Map<string, Promise<Running>>();
  #directories = 0;

  private constructor(own: Pick<Ground, OwnKeys>, stack: AsyncDisposableStack) {
    this.pace = own.pace;
    this.signal = own.signal;
    this.ticksPerSecond = own.ticksPerSecond;
    this.wrk = own.wrk;
    this.directory = own.directory;
    this.backends = own.backends;
    this.certificate = own.certificate;
    this.#stack = stack;
  }

  /** Starts two backends; throws when a program is missing without which nothing can be measured. */
  static async prepare(pace: Pace, signal: AbortSignal): Promise<Ground> {
    const wrk = findProgram("wrk");
    if (wrk === undefined) throw new Error("wrk is needed for the load: run scripts/bench/install.sh");
    await using stack = new AsyncDisposableStack();
    const directory = await Deno.makeTempDir({ prefix: "roundhouse-bench-" });
    stack.defer(() => Deno.remove(directory, { recursive: true }));
    const ticksPerSecond = Number((await run({ command: "getconf", args: ["CLK_TCK"] }, signal)).stdout);
    const certificate = await makeCertificate(directory);
    const backends = await startBackends(2, `${directory}/backends`, stack, signal);
    return new Ground({ pace, signal, ticksPerSecond, wrk, directory, backends, certificate }, stack.move());
  }

  /** A subject that runs until the end of the benchmark, the same one for every call with the same arguments. */
  running(subject: Subject, setup: Setup = {}): Promise<Running> {
    const key = JSON.stringify([subject.name, setup]);
    let running = this.#running.get(key);
    if (running === undefined) {
      running = this.start(subject, setup).then((started) => this.#stack.use(started));
      this.#running.set(key, running);
    }
    return running;
  }

  /** A subject of one's own, which listens when the promise resolves; rejects with what it complained about if it never does. */
  async start(subject: Subject, setup: Setup = {}): Promise<Running> {
    const program = subject.program();
    if (program === undefined) throw new Error(subject.remedy);
    const directory = await this.newDirectory();
    const [port = 0] = freePorts(1);
    const launch = await subject.launch({
      program,
      directory,
      port,
      backends: setup.backends ?? this.backends.map((backend) => backend.port),
      certificate: setup.secure === true ? this.certificate : undefined,
      watchful: setup.watchful === true,
      signal: this.signal,
    });
    const process = await ServerProcess.start(launch, port, this.signal);
    return {
      pid: process.pid,
      port,
      origin: `${setup.secure === true ? "https" : "http"}://127.0.0.1:${port}`,
      [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
    };
  }

  /** A new, empty directory. */
  async newDirectory(): Promise<string> {
    const directory = `${this.directory}/${++this.#directories}`;
    await Deno.mkdir(directory);
    return directory;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

type OwnKeys = "pace" | "signal" | "ticksPerSecond" | "wrk" | "directory" | "backends" | "certificate";

/** What the program says of its version; `?` when it says nothing of the kind. */
export async function versionOf(subject: Subject, signal: AbortSignal): Promise<string> {
  const program = subject.program();
  if (program === undefined) return "?";
  const { stdout, stderr } = await run({ command: program, args: subject.versionArgs }, signal);
  return /\d+\.\d+(\.\d+)*/.exec(stdout + stderr)?.[0] ?? "?";
}
