/** A process that `deno task dev` starts: its lines are shown whole, and looked through. */

/** How long a child may take to end before it is killed. */
const STOP_WITHIN_MS = 3_000;

const root = new URL("../..", import.meta.url);

export interface ChildOptions {
  readonly name: string;
  /** Arguments of `deno`. */
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A running child. Its lines go to standard error, one at a time: so those of several never mix. */
export class Child {
  readonly name: string;
  readonly args: readonly string[];
  /** Settles when it has ended and all its lines are shown. */
  readonly ended: Promise<Deno.CommandStatus>;
  readonly #process: Deno.ChildProcess;
  readonly #lines: string[] = [];
  #changed = Promise.withResolvers<void>();
  #isOver = false;

  constructor({ name, args, env = {} }: ChildOptions) {
    this.name = name;
    this.args = args;
    this.#process = new Deno.Command(Deno.execPath(), {
      args: [...args],
      cwd: root,
      env,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.ended = this.#follow();
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** The match of the first line that matches; `undefined`: it has ended without one. */
  async said(pattern: RegExp): Promise<RegExpExecArray | undefined> {
    for (let at = 0;; at++) {
      while (at >= this.#lines.length) {
        if (this.#isOver) return undefined;
        await this.#changed.promise;
      }
      const match = pattern.exec(this.#lines[at] ?? "");
      if (match !== null) return match;
    }
  }

  /** Ends it by SIGINT, because only that ends a `deno --watch` too. Kills it if it takes too long. */
  async end(): Promise<void> {
    const send = (signal: Deno.Signal) => {
      try {
        this.#process.kill(signal);
      } catch {
        // it has ended already
      }
    };
    send("SIGINT");
    const timer = setTimeout(() => send("SIGKILL"), STOP_WITHIN_MS);
    await this.ended;
    clearTimeout(timer);
  }

  async #follow(): Promise<Deno.CommandStatus> {
    const { stdout, stderr, status } = this.#process;
    const [ended] = await Promise.all([status, this.#show(stdout), this.#show(stderr)]);
    this.#isOver = true;
    this.#changed.resolve();
    return ended;
  }

  async #show(output: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    let rest = "";
    for await (const text of output.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#add(line);
    }
    if (rest !== "") this.#add(rest);
  }

  #add(line: string): void {
    Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
    if (this.#lines.length >= MOST_LINES) return; // what is looked for is said at the start
    this.#lines.push(line.replaceAll(/\p{Cc}\[[\d;]*m/gu, ""));
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

const MOST_LINES = 200;
