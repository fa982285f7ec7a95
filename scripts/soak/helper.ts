/**
 * Processes beside the program under load: backends and clients. Each runs on its own, so that what is measured is the
 * program and not them. One is told what to do by its only argument, says on standard output that it has begun, works
 * until its standard input ends, which it does with the soak however that ends, and says what it saw.
 */

/** Dispose of it to kill it. */
export class Helper<Begun, Report> implements Disposable {
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #rest = "";
  #begun: Begun | undefined;

  /** @param nice how far the others go first, as for `nice(1)` */
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

  /** Resolves when it has begun. */
  static async start<Begun, Report>(script: string, order: unknown, nice = 0): Promise<Helper<Begun, Report>> {
    const helper = new Helper<Begun, Report>(script, order, nice);
    helper.#begun = await helper.#line() as Begun;
    return helper;
  }

  /** What it said when it began. */
  get begun(): Begun {
    if (this.#begun === undefined) throw new Error("it has not begun");
    return this.#begun;
  }

  /** Ends it; returns what it saw. */
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
