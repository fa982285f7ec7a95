/**
 * The processes of backends and clients. They are separate, so that only the program is measured. A helper gets its
 * order as its only argument. It writes to standard output when it has begun, works until its standard input ends, and
 * then writes its report. Standard input also ends if the soak dies.
 */

/** A helper process. Disposing of it kills the process. */
export class Helper<Begun, Report> implements Disposable {
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #rest = "";
  #begun: Begun | undefined;

  /** @param nice the niceness, as for `nice(1)` */
  private constructor(script: string, order: unknown, nice: number) {
    const path = new URL(script, import.meta.url).pathname;
    this.#child = new Deno.Command("nice", {
      args: ["-n", String(nice), Deno.execPath(), "run", "-A", "--no-check", path, JSON.stringify(order)],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Starts a helper. Resolves when it has begun. */
  static async start<Begun, Report>(script: string, order: unknown, nice = 0): Promise<Helper<Begun, Report>> {
    const helper = new Helper<Begun, Report>(script, order, nice);
    helper.#begun = await helper.#line() as Begun;
    return helper;
  }

  /** What the helper wrote when it had begun. */
  get begun(): Begun {
    if (this.#begun === undefined) throw new Error("it has not begun");
    return this.#begun;
  }

  /** Ends the helper. Returns its report. */
  async stop(): Promise<Report> {
    await this.#child.stdin.close();
    const report = await this.#line() as Report;
    await this.#child.status;
    return report;
  }

  [Symbol.dispose](): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // it has ended already
    }
  }

  async #line(): Promise<unknown> {
    while (!this.#rest.includes("\n")) {
      const { value, done } = await this.#lines.read();
      if (done) throw new Error("a helper of the soak ended too early");
      this.#rest += value;
    }
    const end = this.#rest.indexOf("\n");
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return JSON.parse(line);
  }
}
