/** Where the measuring takes place: backends, a certificate, and subjects that run. */
import { type Backend, startBackends, startEchoBackends } from "./backends.ts";
import { buildFile, builtFileEnv } from "./built_file.ts";
import { makeCertificate } from "./certificate.ts";
import { findProgram, freePorts, run, ServerProcess } from "./processes.ts";
import { cpuTicks } from "./proc.ts";
import type { Pace } from "./scenario.ts";
import type { CertificateFiles, Subject } from "./subject.ts";

/** How a subject is set up, beyond its own nature. */
export interface Setup {
  /** HTTPS in front. */
  readonly secure?: boolean;
  /** Health checks and retries. */
  readonly watchful?: boolean;
  /** How many pools with a route to each; default 0: one pool without routes. roundhouse only. */
  readonly pools?: number;
  /** The hash of the password that the path `/private` asks for; default: it asks for none. roundhouse only. */
  readonly hash?: string;
  /** An access log, sessions in a cookie, and trust in the peer's headers about its client. */
  readonly production?: boolean;
  /** The ports of its backends; default: those of the ground. */
  readonly backends?: readonly number[];
  /** Run the built file instead of the sources; roundhouse only. */
  readonly built?: boolean;
}

/** CPU time in microseconds. */
export interface CpuMicros {
  readonly userMicros: number;
  readonly systemMicros: number;
}

/** A subject that listens; disposing of it ends it. */
export interface Running extends AsyncDisposable {
  readonly pid: number;
  readonly port: number;
  /** Without a slash at its end. */
  readonly origin: string;
  /** From the start of the process until it accepted a connection. */
  readonly readyMs: number;
}

/** Owns all processes and files of the benchmark, and removes them when it is disposed of. */
export class Ground implements AsyncDisposable {
  readonly pace: Pace;
  readonly signal: AbortSignal;
  /** The path of wrk. */
  readonly wrk: string;
  /** For temporary files. */
  readonly directory: string;
  readonly backends: readonly Backend[];
  readonly certificate: CertificateFiles;
  readonly #ticksPerSecond: number;
  readonly #stack: AsyncDisposableStack;
  readonly #running = new Map<string, Promise<Running>>();
  /** Process and load of all that has been warmed up. */
  readonly #warm = new Set<string>();
  #echoBackends: Promise<readonly number[]> | undefined;
  #builtFile: Promise<string> | undefined;
  #directories = 0;

  private constructor(own: Pick<Ground, OwnKeys>, ticksPerSecond: number, stack: AsyncDisposableStack) {
    this.pace = own.pace;
    this.signal = own.signal;
    this.wrk = own.wrk;
    this.directory = own.directory;
    this.backends = own.backends;
    this.certificate = own.certificate;
    this.#ticksPerSecond = ticksPerSecond;
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
    return new Ground({ pace, signal, wrk, directory, backends, certificate }, ticksPerSecond, stack.move());
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

  /** A new subject. Resolves when it listens; rejects with its error output if it never does. */
  async start(subject: Subject, setup: Setup = {}): Promise<Running> {
    const installed = subject.program();
    if (installed === undefined) throw new Error(subject.remedy);
    const program = setup.built === true ? await this.builtFile() : installed;
    const directory = await this.newDirectory();
    const [port = 0, adminPort = 0] = freePorts(2);
    const launch = await subject.launch({
      program,
      directory,
      port,
      adminPort,
      backends: setup.backends ?? this.backends.map((backend) => backend.port),
      certificate: setup.secure === true ? this.certificate : undefined,
      watchful: setup.watchful === true,
      pools: setup.pools ?? 0,
      hash: setup.hash,
      production: setup.production === true,
      built: setup.built === true,
      signal: this.signal,
    });
    const env = { ...launch.env, ...(setup.built === true ? builtFileEnv(this.directory) : {}) };
    const process = await ServerProcess.start({ ...launch, env }, port, this.signal);
    return {
      pid: process.pid,
      port,
      origin: `${setup.secure === true ? "https" : "http"}://127.0.0.1:${port}`,
      readyMs: process.readyMs,
      [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
    };
  }

  /** For how many seconds to warm up a process with this kind of load: long at its first call, short at all others. */
  takeWarmUp(pid: number, load: string): number {
    const key = `${pid} ${load}`;
    if (this.#warm.has(key)) return this.pace.warmUpSeconds;
    this.#warm.add(key);
    return this.pace.firstWarmUpSeconds;
  }

  /** Does `work` and returns its result with the CPU time that a process and its descendants took meanwhile. */
  async withCpuTime<T>(pid: number, work: () => Promise<T>): Promise<{ readonly result: T } & CpuMicros> {
    const before = cpuTicks(pid);
    const result = await work();
    const after = cpuTicks(pid);
    const micros = (ticks: number) => ticks / this.#ticksPerSecond * 1e6;
    return { result, userMicros: micros(after.user - before.user), systemMicros: micros(after.system - before.system) };
  }

  /** The ports of two backends that echo WebSocket messages; they run until the end of the benchmark. */
  echoBackends(): Promise<readonly number[]> {
    this.#echoBackends ??= startEchoBackends(2, this.#stack, this.signal);
    return this.#echoBackends;
  }

  /** The path of the built file, which is made at the first call and has run once, since its first start unpacks it. */
  builtFile(): Promise<string> {
    this.#builtFile ??= buildFile(this.directory, this.signal);
    return this.#builtFile;
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

type OwnKeys = "pace" | "signal" | "wrk" | "directory" | "backends" | "certificate";

/** What each program says of its version; `?` when it says nothing of the kind. */
export async function versionsOf(subjects: readonly Subject[], signal: AbortSignal): Promise<Map<Subject, string>> {
  const versions = new Map<Subject, string>();
  for (const subject of subjects) {
    const program = subject.program();
    if (program !== undefined) versions.set(subject, await versionOf(program, subject.versionArgs, signal));
  }
  return versions;
}

async function versionOf(command: string, args: readonly string[], signal: AbortSignal): Promise<string> {
  try {
    const { stdout, stderr } = await run({ command, args }, signal);
    return /\d+\.\d+(\.\d+)*/.exec(stdout + stderr)?.[0] ?? "?";
  } catch {
    signal.throwIfAborted();
    return "?"; // a program that fails here will be left out when it is started
  }
}
