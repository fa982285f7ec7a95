/** The real program with all permissions, which it needs to start itself anew, and the processes that follow it. */

import { TemporaryDirectory } from "./certificates.ts";
import { type LogEntry, Program, type ProgramOptions } from "./program.ts";
import { waitFor } from "./wait.ts";

/** The program's source. */
export const MAIN = new URL("../../main.ts", import.meta.url).pathname;

/** Dispose of it to kill every process. */
export class Upgradable implements AsyncDisposable {
  readonly program: Program;
  readonly #directory: TemporaryDirectory;

  private constructor(program: Program, directory: TemporaryDirectory) {
    this.program = program;
    this.#directory = directory;
  }

  /** Starts it, and waits until it is ready. */
  static async start(args: readonly string[], options: ProgramOptions = {}): Promise<Upgradable> {
    const directory = new TemporaryDirectory();
    const binary = options.binary ?? Deno.env.get("ROUNDHOUSE_BINARY") ??
      directory.write("roundhouse", `#!/bin/sh\nexec ${Deno.execPath()} run -A ${MAIN} "$@"\n`);
    Deno.chmodSync(binary, 0o755);
    const upgradable = new Upgradable(new Program(args, { ...options, binary }), directory);
    await upgradable.program.logged("ready");
    return upgradable;
  }

  /** The lines of the log with this message, of all processes. */
  lines(message: string): LogEntry[] {
    return this.program.log.filter((entry) => entry.message === message);
  }

  /** The process that became ready last. */
  get pid(): number {
    return Number(this.lines("ready").at(-1)?.["pid"]);
  }

  kill(signal: Deno.Signal): void {
    Deno.kill(this.pid, signal);
  }

  /** Replaces the process; settles when the old one has let go of the ports. */
  async upgrade(): Promise<void> {
    const before = this.lines("handed over").length;
    this.kill("SIGUSR2");
    await waitFor(() => this.lines("handed over").length > before, {
      what: `the hand-over in ${JSON.stringify(this.program.log.slice(-5))}`,
      timeoutMs: 60_000,
    });
  }

  /** Ends the last process gracefully. */
  async stop(): Promise<void> {
    this.kill("SIGTERM");
    await waitFor(() => !isAlive(this.pid), { what: "the end of the last process" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const message of ["ready", "upgrade begun"]) {
      for (const { pid } of this.lines(message)) {
        try {
          Deno.kill(Number(pid), "SIGKILL");
        } catch {
          // it has ended already
        }
      }
    }
    await this.program[Symbol.asyncDispose]();
    this.#directory[Symbol.dispose]();
  }
}

export function isAlive(pid: number): boolean {
  try {
    const state = Deno.readTextFileSync(`/proc/${pid}/stat`).replace(/^.*\) /s, "");
    return !state.startsWith("Z"); // whoever adopted it may not have looked yet
  } catch {
    return false;
  }
}
