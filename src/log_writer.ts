/** Writes log lines in batches, so that no request waits for them. Holds a limited amount. */

/** What a `LineWriter` works with. */
export interface LineWriterOptions {
  /** Writes some of the bytes and returns how many, as `Deno.stderr.write` does. */
  readonly write: (bytes: Uint8Array) => Promise<number>;
  /** Called with the number of dropped lines. A line that it pushes replaces them, and is always kept. */
  readonly onDrop: (lines: number) => void;
  /** The most characters held back while a write is under way. Default: 8 Mi. */
  readonly maxHeld?: number;
  /** How long lines are gathered while they come faster than they are written. Default: 5 ms. */
  readonly gatherMs?: number;
}

/** What a pipe takes in one piece (POSIX `PIPE_BUF` on Linux), so that lines of several writers do not mix. */
const BATCH_BYTES = 4096;

/** How many writes may follow each other at once: a few lines together, as at a start, are not gathered. */
const WRITES_AT_ONCE = 3;

/** Limit for writing the last lines: a reader that does not read must not keep the process from ending. */
const CLOSE_LIMIT_MS = 2000;

/**
 * One write is under way at a time; lines that come meanwhile are held, and go out together. Past the limit new ones
 * are dropped and counted. Where nobody can be written to any more, lines are lost: there is no place to say so.
 */
export class LineWriter {
  readonly #options: LineWriterOptions;
  readonly #maxHeld: number;
  readonly #gatherMs: number;
  readonly #encoder = new TextEncoder();
  readonly #batch = new Uint8Array(BATCH_BYTES);
  #lines: string[] = [];
  /** Characters of lines that are not written yet. */
  #held = 0;
  #dropped = 0;
  #tellsDrops = false;
  #writing: Promise<void> | undefined;

  constructor(options: LineWriterOptions) {
    this.#options = options;
    this.#maxHeld = options.maxHeld ?? 8 * 1024 * 1024;
    this.#gatherMs = options.gatherMs ?? 5;
  }

  /** Writes a line, which ends in a line break, as soon as those before it are out. */
  push(line: string): void {
    if (this.#held + line.length > this.#maxHeld && !this.#tellsDrops) {
      this.#dropped++;
      return;
    }
    this.#lines.push(line);
    this.#held += line.length;
    this.#writing ??= this.#writeAll();
  }

  /** Settles when all lines are written, or when that takes too long. */
  async close(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const limit = new Promise<void>((resolve) => timer = setTimeout(resolve, CLOSE_LIMIT_MS));
    while (this.#writing !== undefined && await Promise.race([this.#writing.then(() => true), limit]));
    clearTimeout(timer);
  }

  async #writeAll(): Promise<void> {
    for (let writes = 1; this.#lines.length > 0; writes++) {
      const lines = this.#lines;
      this.#lines = [];
      this.#tellDrops();
      await this.#writeLines(lines);
      // A write costs more than all else about a line: in a moment there will be enough of them to share one.
      if (this.#lines.length > 0 && writes >= WRITES_AT_ONCE) {
        await new Promise((resolve) => setTimeout(resolve, this.#gatherMs));
      }
    }
    this.#writing = undefined;
  }

  #tellDrops(): void {
    if (this.#dropped === 0) return;
    const dropped = this.#dropped;
    this.#dropped = 0;
    this.#tellsDrops = true;
    this.#options.onDrop(dropped);
    this.#tellsDrops = false;
  }

  async #writeLines(lines: readonly string[]): Promise<void> {
    let used = 0;
    let usedChars = 0;
    const flush = async () => {
      await this.#write(this.#batch.subarray(0, used));
      this.#held -= usedChars;
      used = usedChars = 0;
    };
    for (const line of lines) {
      let { read, written } = this.#encoder.encodeInto(line, this.#batch.subarray(used));
      if (read < line.length) {
        if (used > 0) await flush();
        ({ read, written } = this.#encoder.encodeInto(line, this.#batch));
      }
      if (read < line.length) {
        await this.#write(this.#encoder.encode(line)); // longer than a batch
        this.#held -= line.length;
        continue;
      }
      used += written;
      usedChars += line.length;
    }
    if (used > 0) await flush();
  }

  async #write(bytes: Uint8Array): Promise<void> {
    try {
      for (let written = 0; written < bytes.length;) {
        written += await this.#options.write(bytes.subarray(written));
      }
    } catch {
      // The reader of standard error has gone, so this can't be reported. It must not end the proxy.
    }
  }
}
