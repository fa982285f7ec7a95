/** Finding, starting and ending of the programs that the benchmark runs. */
import { processTree } from "./proc.ts";

/** What to run. */
export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string | URL;
  /** Added to our own environment. */
  readonly env?: Readonly<Record<string, string>>;
}

const startTimeoutMs = 30_000;
const stopTimeoutMs = 3_000;
/** How often a server is asked whether it listens yet. */
const pollMs = 2;
/** How much of what a server wrote to stderr is kept to explain why it did not start. */
const keptStderr = 4_000;

/** The path of an installed program; also looks where servers live that only root has in its PATH. */
export function findProgram(name: string): string | undefined {
  const directories = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/local/sbin", "/usr/sbin", "/sbin"];
  for (const directory of directories) {
    const path = `${directory}/${name}`;
    try {
      const { isFile, mode } = Deno.statSync(path);
      if (directory !== "" && isFile && ((mode ?? 0) & 0o111) !== 0) return path;
    } catch {
      // not here
    }
  }
  return undefined;
}

/**
 * As many different ports of 127.0.0.1 that nothing listens on. None is given out a second time before all others were.
 *
 * They lie below those that the system gives to connections and to listeners at port 0 (`ip_local_port_range`). Nobody is
 * given one of them by chance before a program listens there.
 */
export function freePorts(count: number): number[] {
  const ports: number[] = [];
  for (let tried = 0; ports.length < count; tried++) {
    if (tried === portCount) throw new Error(`127.0.0.1 has no ${count} free ports`);
    const port = firstPort + nextPort++ % portCount;
    if (isFree(port)) ports.push(port);
  }
  return ports;
}

const firstPort = 10_000;
const portCount = 20_000;
let nextPort = Math.floor(Math.random() * portCount); // others may measure at the same time

function isFree(port: number): boolean {
  try {
    Deno.listen({ hostname: "127.0.0.1", port }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  }
}

/** Runs a program to its end and returns what it wrote; throws with what it complained about when it fails. */
export async function run(launch: Launch, signal: AbortSignal): Promise<{ stdout: string; stderr: string }> {
  const output = await command(launch, { stdout: "piped", signal }).output();
  signal.throwIfAborted();
  const decoder = new TextDecoder();
  const [stdout, stderr] = [decoder.decode(output.stdout), decoder.decode(output.stderr)];
  if (!output.success) throw new Error(complaint(stderr) ?? `${launch.command} ended with status ${output.code}`);
  return { stdout, stderr };
}

/** A server that runs until it is disposed of; then neither it nor any of its children is left. */
export class ServerProcess implements AsyncDisposable {
  readonly pid: number;
  readonly #startedAt = performance.now();
  #readyMs = NaN;
  readonly #child: Deno.ChildProcess;
  readonly #stderrEnded: Promise<void>;
  #stderr = "";
  #hasEnded = false;

  private constructor(launch: Launch) {
    this.#child = command(launch, { stdout: "null" }).spawn();
    this.pid = this.#child.pid;
    this.#child.status.then(() => this.#hasEnded = true);
    this.#stderrEnded = this.#keepStderr();
  }

  /** Resolves when the server accepts connections on `port` of 127.0.0.1; throws with its complaint when it never does. */
  static async start(launch: Launch, port: number, signal: AbortSignal): Promise<ServerProcess> {
    const server = new ServerProcess(launch);
    try {
      await server.#listening(port, signal);
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** From its start until it accepted a connection. */
  get readyMs(): number {
    return this.#readyMs;
  }

  /** Ends it and all its descendants at once, as a crash would. */
  kill(): void {
    for (const pid of processTree(this.pid)) kill(pid, "SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const tree = this.#hasEnded ? [] : processTree(this.pid);
    if (!this.#hasEnded) kill(this.pid, "SIGTERM");
    const timer = setTimeout(() => tree.forEach((pid) => kill(pid, "SIGKILL")), stopTimeoutMs);
    await this.#child.status;
    clearTimeout(timer);
    await this.#stderrEnded;
  }

  async #listening(port: number, signal: AbortSignal): Promise<void> {
    const deadline = performance.now() + startTimeoutMs;
    while (performance.now() < deadline) {
      signal.throwIfAborted();
      if (this.#hasEnded) {
        await this.#stderrEnded;
        throw new Error(complaint(this.#stderr) ?? "it ended at once and said nothing");
      }
      try {
        (await Deno.connect({ hostname: "127.0.0.1", port })).close();
        this.#readyMs = performance.now() - this.#startedAt;
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, pollMs));
      }
    }
    throw new Error(`it did not listen on port ${port} within ${startTimeoutMs / 1_000} s`);
  }

  async #keepStderr(): Promise<void> {
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
      this.#stderr = (this.#stderr + text).slice(-keptStderr);
    }
  }
}

function command(launch: Launch, options: { stdout: "piped" | "null"; signal?: AbortSignal }): Deno.Command {
  return new Deno.Command(launch.command, {
    args: [...launch.args],
    ...(launch.cwd === undefined ? {} : { cwd: launch.cwd }),
    env: { NO_COLOR: "1", ...launch.env },
    stdin: "null",
    stderr: "piped",
    ...options,
  });
}

function kill(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch {
    // it has ended already
  }
}

/** The line of a program's stderr that most likely says what went wrong. */
function complaint(stderr: string): string | undefined {
  const lines = stderr.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  return lines.findLast((line) => /error|emerg|alert|fatal|fail/i.test(line)) ?? lines.at(-1);
}
