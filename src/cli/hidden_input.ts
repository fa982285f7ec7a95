/** Reads lines from a terminal without showing what is typed. */

const ENTER = "\r\n";
/** Backspace, which terminals send as either. */
const ERASE = "\b\x7f";
/** Ctrl-U and Ctrl-W. Nobody sees words, so both erase all of it. */
const ERASE_ALL = "\x15\x17";
/** Ctrl-D. */
const END_OF_INPUT = "\x04";

/** The terminal on standard input. Dispose of it to restore the terminal. */
export class HiddenInput implements Disposable {
  readonly #decoder = new TextDecoder();
  /** Characters that were typed and not read yet. */
  readonly #typed: string[] = [];

  constructor() {
    Deno.stdin.setRaw(true, { cbreak: true }); // Ctrl-C still sends a signal
  }

  /** Asks on standard error. Resolves with the line without its end, or `undefined` at the end of the input. */
  async line(question: string): Promise<string | undefined> {
    say(question);
    let line: string[] = [];
    try {
      for (;;) {
        const key = await this.#key();
        if (key === undefined || key === END_OF_INPUT) return undefined;
        if (ENTER.includes(key)) return line.join("");
        if (ERASE_ALL.includes(key)) line = [];
        else if (ERASE.includes(key)) line.pop();
        else line.push(key);
      }
    } finally {
      say("\n");
    }
  }

  [Symbol.dispose](): void {
    Deno.stdin.setRaw(false);
  }

  async #key(): Promise<string | undefined> {
    const buffer = new Uint8Array(1024);
    while (this.#typed.length === 0) {
      const count = await Deno.stdin.read(buffer);
      if (count === null) return undefined;
      this.#typed.push(...this.#decoder.decode(buffer.subarray(0, count), { stream: true }));
    }
    return this.#typed.shift();
  }
}

function say(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}
