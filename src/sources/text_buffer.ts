/** Collects the bytes of a text that a source sends, up to a limit. */

import { SourceError } from "./source.ts";

/** The bytes are copied together: a list of tiny chunks would take far more memory than the limit. */
export class TextBuffer {
  readonly #what: string;
  readonly #maxBytes: number;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });
  #bytes = new Uint8Array(4096);
  #length = 0;

  /** @param what is collected, for errors: `a line` */
  constructor(what: string, maxBytes: number) {
    this.#what = what;
    this.#maxBytes = maxBytes;
  }

  /** @throws {SourceError} when that is too much */
  push(bytes: Uint8Array): void {
    const length = this.#length + bytes.length;
    if (length > this.#maxBytes) throw new SourceError(`got more than ${this.#maxBytes} bytes as ${this.#what}`);
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(Math.min(Math.max(length, 2 * this.#bytes.length), this.#maxBytes));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = length;
  }

  /**
   * Returns the text, without white space around it, and begins again.
   *
   * @throws {SourceError} when it is not UTF-8
   */
  take(): string {
    const bytes = this.#bytes.subarray(0, this.#length);
    this.#length = 0;
    try {
      return this.#decoder.decode(bytes).trim();
    } catch (error) {
      throw new SourceError(`got bytes that are not UTF-8 in ${this.#what}`, { cause: error });
    }
  }
}

/** @throws {SourceError} when it is no JSON; it shows the beginning of the text */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const beginning = text.length > 40 ? `${text.slice(0, 40)}…` : text;
    throw new SourceError(`got ${JSON.stringify(beginning)}, want JSON`, { cause: error });
  }
}

/**
 * Reads a body that is one JSON value, until `stop` fires.
 *
 * @throws {SourceError} when it is too long or no JSON
 * @throws the reason of `stop`, and the runtime's error when the connection is lost
 */
export async function readJson(
  body: ReadableStream<Uint8Array> | null,
  maxBytes: number,
  stop: AbortSignal,
): Promise<unknown> {
  return parseJson(await readText(body, maxBytes, stop));
}

/**
 * Reads a body that is a text, until `stop` fires. The signal of a request does not end the reading of its body when
 * nothing refers to the `Response` any more.
 *
 * @throws {SourceError} when it is too long or not UTF-8
 * @throws the reason of `stop`, and the runtime's error when the connection is lost
 */
export async function readText(
  body: ReadableStream<Uint8Array> | null,
  maxBytes: number,
  stop: AbortSignal,
): Promise<string> {
  const buffer = new TextBuffer("a response", maxBytes);
  const reader = body?.getReader();
  // A read that is waiting then ends.
  const end = () => void reader?.cancel().catch(() => {});
  stop.addEventListener("abort", end);
  try {
    while (true) {
      stop.throwIfAborted();
      const { value } = await reader?.read() ?? {};
      stop.throwIfAborted();
      if (value === undefined) return buffer.take();
      buffer.push(value);
    }
  } finally {
    stop.removeEventListener("abort", end);
    end();
  }
}
