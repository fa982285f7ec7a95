/** Programs that are watched while they run, also in a terminal of their own. */

import { hasCommand } from "./has_command.ts";

/** A child whose output is read while it runs. Dispose of it to kill it. */
export class Watched implements AsyncDisposable {
  stdout = "";
  stderr = "";
  readonly #child: Deno.ChildProcess;
  readonly #read: Promise<unknown>;

  constructor([executable, ...args]: readonly [string, ...string[]], env: Record<string, string> = { NO_COLOR: "1" }) {
    this.#child = new Deno.Command(executable, { args, env, stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
    this.#read = Promise.all([
      this.#collect(this.#child.stdout, (text) => this.stdout += text),
      this.#collect(this.#child.stderr, (text) => this.stderr += text),
    ]);
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async type(text: string): Promise<void> {
    const writer = this.#child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(text));
    writer.releaseLock();
  }

  /** Its exit status, once it has ended by itself. */
  async ended(): Promise<number> {
    const { code } = await this.#child.status;
    await this.#read;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // it has ended already
    }
    await Promise.all([this.ended(), this.#child.stdin.close().catch(() => {})]);
  }

  async #collect(stream: ReadableStream<Uint8Array<ArrayBuffer>>, add: (text: string) => void): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) add(text);
  }
}

/** `program` as one line of a shell. */
function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
}

/** Whether a program can be run in a terminal of its own. */
export const HAS_TERMINALS = hasCommand("script") && hasCommand("stty");

/** How a terminal is. */
export interface TerminalOptions {
  readonly rows: number;
  readonly columns: number;
  readonly env?: Record<string, string>;
}

/**
 * A program in a pseudo-terminal. The output begins and ends with the settings of the terminal, as `stty -g` prints
 * them; `status N` stands between the program's output and the last ones.
 */
export function inTerminal(command: readonly string[], { rows, columns, env }: TerminalOptions): Watched {
  // The shell of the terminal gets the signal of Ctrl-C too.
  const session = `stty rows ${rows} cols ${columns}; stty -g; trap : INT; ${
    quoted(command)
  }; echo "status $?"; stty -g`;
  return new Watched(["script", "-qec", session, "/dev/null"], env);
}
