/** Follows a chunked body through its bytes (RFC 9112 §7.1). */

import { COLON, CR, hexValue, isTokenCharacter, isValueCharacter, LF, SEMICOLON } from "./characters.ts";
import { MalformedMessage } from "./malformed.ts";

/** What the next byte belongs to. */
const SIZE_START = 0;
const SIZE = 1;
const EXTENSION = 2;
const SIZE_END = 3;
const DATA = 4;
const DATA_CR = 5;
const DATA_LF = 6;
const TRAILER_START = 7;
const TRAILER_NAME = 8;
const TRAILER_VALUE = 9;
const TRAILER_LF = 10;
const END_LF = 11;
const DONE = 12;

/** A chunk's line may hold this much beside data: an extension without end is not a licence to send for ever. */
const MOST_LINE_BYTES = 4096;

/** Chunks beyond this are refused, long before sizes stop to be exact. */
const LARGEST_CHUNK = 2 ** 48;

/** Told where data of the body is, for whoever has to take it out of its chunks. */
export type DataListener = (bytes: Uint8Array, from: number, to: number) => void;

/**
 * Reads a chunked body in whatever pieces it comes. Strict: what it lets pass, any recipient reads the same way, so
 * bytes may be passed on as they are.
 */
export class ChunkedReader {
  /** Bytes of data so far, without the framing. */
  dataBytes = 0;
  readonly #mostTrailerBytes: number;
  #state: number = SIZE_START;
  #left = 0;
  #lineBytes = 0;
  #trailerBytes = 0;

  /** @param mostTrailerBytes longer trailers are refused */
  constructor(mostTrailerBytes: number) {
    this.#mostTrailerBytes = mostTrailerBytes;
  }

  /** Whether the body has come whole. */
  get done(): boolean {
    return this.#state === DONE;
  }

  /**
   * Reads on; returns where the body ends, or `end` while it goes on.
   *
   * @throws {MalformedMessage}
   */
  read(bytes: Uint8Array, start: number, end: number, onData?: DataListener): number {
    let at = start;
    while (at < end && this.#state !== DONE) {
      if (this.#state === DATA) {
        const to = Math.min(end, at + this.#left);
        onData?.(bytes, at, to);
        this.dataBytes += to - at;
        this.#left -= to - at;
        at = to;
        if (this.#left === 0) this.#state = DATA_CR;
      } else this.#step(bytes[at++] ?? 0);
    }
    return at;
  }

  #step(code: number): void {
    switch (this.#state) {
      case SIZE_START:
      case SIZE:
        return this.#sizeByte(code);
      case EXTENSION:
        if (code === CR) this.#state = SIZE_END;
        else if (!isValueCharacter(code)) throw new MalformedMessage("a chunk extension is malformed");
        return this.#countLine();
      case SIZE_END:
        expect(code, LF, "a chunk size");
        this.#state = this.#left === 0 ? TRAILER_START : DATA;
        return;
      case DATA_CR:
        expect(code, CR, "a chunk");
        this.#state = DATA_LF;
        return;
      case DATA_LF:
        expect(code, LF, "a chunk");
        this.#state = SIZE_START;
        return;
      default:
        return this.#trailerByte(code);
    }
  }

  #sizeByte(code: number): void {
    const digit = hexValue(code);
    if (digit >= 0) {
      if (this.#state === SIZE_START) {
        this.#state = SIZE;
        this.#left = 0;
        this.#lineBytes = 0;
      }
      this.#left = this.#left * 16 + digit;
      if (this.#left > LARGEST_CHUNK) throw new MalformedMessage("a chunk size is too large");
      return this.#countLine();
    }
    if (this.#state === SIZE_START) throw new MalformedMessage("a chunk size is malformed");
    if (code === SEMICOLON) this.#state = EXTENSION;
    else if (code === CR) this.#state = SIZE_END;
    else throw new MalformedMessage("a chunk size is malformed");
  }

  #trailerByte(code: number): void {
    if (++this.#trailerBytes > this.#mostTrailerBytes) throw new MalformedMessage("the trailers are too long");
    switch (this.#state) {
      case TRAILER_START:
        if (code === CR) this.#state = END_LF;
        else if (isTokenCharacter(code)) this.#state = TRAILER_NAME;
        else throw new MalformedMessage("a trailer is malformed");
        return;
      case TRAILER_NAME:
        if (code === COLON) this.#state = TRAILER_VALUE;
        else if (!isTokenCharacter(code)) throw new MalformedMessage("a trailer is malformed");
        return;
      case TRAILER_VALUE:
        if (code === CR) this.#state = TRAILER_LF;
        else if (!isValueCharacter(code)) throw new MalformedMessage("a trailer is malformed");
        return;
      case TRAILER_LF:
        expect(code, LF, "a trailer");
        this.#state = TRAILER_START;
        return;
      case END_LF:
        expect(code, LF, "the body");
        this.#state = DONE;
        return;
    }
  }

  #countLine(): void {
    if (++this.#lineBytes > MOST_LINE_BYTES) throw new MalformedMessage("a chunk's line is too long");
  }
}

function expect(code: number, wanted: number, what: string): void {
  if (code !== wanted) throw new MalformedMessage(`${what} does not end where it should`);
}
