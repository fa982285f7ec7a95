/** The real program as a child process, watched through its log: from source, or the file ROUNDHOUSE_BINARY names. */

import { waitFor } from "./wait.ts";

const MAIN = new URL("../../main.ts", import.meta.url).href;

/** The defaults for tests that do not say what they run on; see `proxy.ts`. */
const UNDER_TEST = [
  ["--engine", Deno.env.get("ROUNDHOUSE_TEST_ENGINE")],
  ["--workers", Deno.env.get("ROUNDHOUSE_TEST_WORKERS")],
] as const;

/** A line of the JSON log. */
export type LogEntry = Record<string, unknown> & { readonly level: string; readonly message: string };

export interface ProgramOptions {
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  readonly stdin?: string;
  /** Starts from an empty environment instead of ours. */
  readonly clearEnv?: boolean;
  /** A built file to run. Default: the file that ROUNDHOUSE_BINARY names, or else the program from source. */
  readonly binary?: string;
  /** The most files, connections among them, that it may have open. */
  readonly openFiles?: number;
}

/** The result of a program that has ended. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command line that starts the program with these arguments. */
export function commandLine(
  args: readonly string[],
  binary = Deno.env.get("ROUNDHOUSE_BINARY"),
): [string, ...string[]] {
  return binary === undefined ? [Deno.execPath(), "run", "-P", MAIN, ...args] : [binary, ...args];
}

function command(args: readonly string[], options: ProgramOptions): Deno.Command {
  const { openFiles } = options;
  const limit = openFiles === undefined ? [] : ["sh", "-c", `ulimit -n ${openFiles}; exec "$@"`, "sh"];
  const [executable = "", ...rest] = [...limit, ...commandLine(args, options.binary)];
  return new Deno.Command(executable, {
    args: rest,
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1", ...options.env },
    clearEnv: options.clearEnv ?? false,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
}

/** Runs the program to its end. */
export async function runProgram(args: readonly string[], options: ProgramOptions = {}): Promise<Finished> {
  const child = command(args, options).spawn();
  if (options.stdin !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(options.stdin));
    await writer.close();
  }
  const { code, stdout, stderr } = await child.output();
  return {
    code,
    stdout: new TextDecoder().decode(stdout),
    stderr: withoutRuntimeNotes(new TextDecoder().decode(stderr)),
  };
}

/** A program that is running. Dispose of it to kill it. */
export class Program implements AsyncDisposable {
  readonly log: LogEntry[] = [];
  readonly status: Promise<Deno.CommandStatus>;
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  readonly #stdout: Promise<string>;

  /** Starts it with a JSON log; `ready()` waits for both servers. */
  constructor(args: readonly string[], options: ProgramOptions = {}) {
    const unsaid = UNDER_TEST.flatMap(([flag, value]) =>
      value === undefined || args.includes(flag) ? [] : [flag, value]
    );
    this.#child = command([...args, "--log-format", "json", ...unsaid], options).spawn();
    this.status = this.#child.status;
    this.#stdout = new Response(this.#child.stdout).text();
    this.#reading = this.#read();
  }

  /** Starts it and waits until it is ready. */
  static async start(args: readonly string[], options: ProgramOptions = {}): Promise<Program> {
    const program = new Program(args, options);
    await program.logged("ready");
    return program;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Where the proxy listens. */
  get url(): string {
    return this.#address("proxy");
  }

  get adminUrl(): string {
    return this.#address("admin");
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** All of standard output; settles when the program ends. */
  stdout(): Promise<string> {
    return this.#stdout;
  }

  /** Waits for a line with this message and these fields. */
  async logged(message: string, fields: Record<string, unknown> = {}): Promise<LogEntry> {
    const find = () =>
      this.log.find((entry) =>
        entry.message === message && Object.entries(fields).every(([name, value]) => entry[name] === value)
      );
    await waitFor(() => find() !== undefined, { what: `the log line "${message}"`, timeoutMs: 20_000 });
    return find() as LogEntry; // `waitFor` has just found it
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // it has ended already
    }
    await Promise.all([this.status, this.#reading, this.#stdout]);
  }

  #address(server: "proxy" | "admin"): string {
    const url = new URL(String(this.log.find((entry) => entry.message === "ready")?.[server]));
    return `http://127.0.0.1:${url.port}`;
  }

  async #read(): Promise<void> {
    let rest = "";
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line.startsWith("{")) this.log.push(JSON.parse(line));
        else if (withoutRuntimeNotes(line) !== "") this.log.push({ level: "stderr", message: line });
      }
    }
  }
}

/** Removes what the runtime writes to standard error when the program runs from source. */
function withoutRuntimeNotes(text: string): string {
  return text.split("\n").filter((line) => !line.startsWith("Warning Permissions in the config file")).join("\n");
}
