/** Checks a chunked body and finds where it ends, while its bytes pass (RFC 9112 §7.1). */

import { Buffer } from "node:buffer";
import {
  BACKSLASH,
  COLON,
  CR,
  EQUALS,
  hexValue,
  isSpace,
  isTokenCharacter,
  isValueCharacter,
  LF,
  QUOTE,
  SEMICOLON,
} from "./characters.ts";
import { MalformedMessage } from "./malformed.ts";

/** The states: each says what the next byte belongs to. */
const SIZE_START = 0;
const SIZE = 1;
const EXTENSION_NAME_START = 2;
const EXTENSION_NAME = 3;
const EXTENSION_VALUE_START = 4;
const EXTENSION_VALUE = 5;
const EXTENSION_QUOTED = 6;
const EXTENSION_ESCAPED = 7;
const EXTENSION_QUOTED_END = 8;
const SIZE_END = 9;
const DATA = 10;
const DATA_CR = 11;
const DATA_LF = 12;
const TRAILER_START = 13;
const TRAILER_NAME = 14;
const TRAILER_VALUE = 15;
const TRAILER_LF = 16;
const END_LF = 17;
const DONE = 18;
const EXTENSION_SPACE = 19;

/** Replaces a space that senders should not send. */
const FILLER = 0x78; // "x"

/** The longest line of a chunk's size and extensions, in bytes. Otherwise, an extension could go on without end. */
const MOST_LINE_BYTES = 4096;

/**
 * The most bytes of excess framing in a whole body, as in Go. Small chunks are allowed. Without this limit, chunks of
 * one byte with long extensions could make a message of any length, which no limit on the size of the body would
 * notice.
 */
const MOST_EXCESS_BYTES = 16 * 1024;

/** Bytes of framing that each chunk may have, plus twice the bytes of its data. Only framing beyond that is excess. */
const EXCUSED_BYTES = 16;

/** CR LF after the size, and after the data. */
const LINE_END_BYTES = 4;

/** Larger chunks are refused. Sizes are exact up to 2^53. */
const LARGEST_CHUNK = 2 ** 48;

/**
 * Fields that control the message, its routing or its connection. In trailers they come too late (RFC 9110 §6.5.1), and
 * would mislead a recipient that treats trailers as part of the head.
 */
const NEVER_TRAILERS: ReadonlySet<string> = new Set([
  "content-length",
  "transfer-encoding",
  "host",
  "connection",
  "upgrade",
]);

/** Whether a trailer of this name is dropped. */
export type TrailerRule = (name: string) => boolean;

/** Called with the position of the body's data, for callers that need it without the chunks. */
export type DataListener = (bytes: Uint8Array, from: number, to: number) => void;

/**
 * Reads a chunked body in pieces of any size. It is strict: all recipients read what it accepts in the same way, so the
 * bytes may be forwarded as they are.
 */
export class ChunkedReader {
  /** Bytes of data so far, without the framing. */
  dataBytes = 0;
  readonly #mostTrailerBytes: number;
  readonly #dropsTrailer: TrailerRule | undefined;
  #state: number = SIZE_START;
  #left = 0;
  #lineBytes = 0;
  #excessBytes = 0;
  #trailerBytes = 0;
  #trailerName = "";
  /** Whether the trailer that is being read is dropped. */
  #dropping = false;
  /** The name of a trailer that began in an earlier read and is to be forwarded. */
  #ahead = "";
  /** Where the bytes of the last read that are to be forwarded begin. */
  #keptFrom = 0;
  /** Where they end, if some later bytes are not forwarded; -1: all are. */
  #keptTo = -1;

  /**
   * @param mostTrailerBytes longer trailers are refused as malformed
   * @param dropsTrailer which trailers are not forwarded; without it all are
   */
  constructor(mostTrailerBytes: number, dropsTrailer?: TrailerRule) {
    this.#mostTrailerBytes = mostTrailerBytes;
    this.#dropsTrailer = dropsTrailer;
  }

  /** Whether the whole body has arrived. */
  get done(): boolean {
    return this.#state === DONE;
  }

  /**
   * Reads the next bytes. Returns where the body ends in them, or `end` if it goes on. Overwrites spaces around the `;`
   * of an extension, so that the forwarded bytes are well-formed. Overwrites dropped trailers with those after them:
   * see `kept`.
   *
   * @throws {MalformedMessage}
   */
  read(bytes: Uint8Array, start: number, end: number, onData?: DataListener): number {
    let at = start;
    this.#ahead = "";
    this.#keptFrom = start;
    this.#keptTo = this.#dropping || this.#state === TRAILER_NAME ? start : -1;
    while (at < end && this.#state !== DONE) {
      if (this.#state === DATA) {
        const to = Math.min(end, at + this.#left);
        onData?.(bytes, at, to);
        this.dataBytes += to - at;
        this.#left -= to - at;
        at = to;
        if (this.#left === 0) this.#state = DATA_CR;
      } else this.#step(bytes, at++);
    }
    return at;
  }

  /**
   * Returns the bytes of the last read that are to be forwarded: all of them except dropped trailers. A trailer's name
   * is held back until all of it has arrived.
   *
   * @param end the value that this read returned
   */
  kept(bytes: Uint8Array, end: number): Uint8Array {
    const kept = bytes.subarray(this.#keptFrom, this.#keptTo === -1 ? end : this.#keptTo);
    return this.#ahead === "" ? kept : Buffer.concat([Buffer.from(this.#ahead, "latin1"), kept]);
  }

  #step(bytes: Uint8Array, at: number): void {
    const code = bytes[at] ?? 0;
    switch (this.#state) {
      case SIZE_START:
      case SIZE:
        return this.#sizeByte(code, bytes, at);
      case EXTENSION_SPACE:
        return this.#spaceByte(code, bytes, at);
      case EXTENSION_NAME_START:
      case EXTENSION_NAME:
      case EXTENSION_VALUE_START:
      case EXTENSION_VALUE:
      case EXTENSION_QUOTED:
      case EXTENSION_ESCAPED:
      case EXTENSION_QUOTED_END:
        this.#extensionByte(code, bytes, at);
        return this.#countLine();
      case SIZE_END:
        expect(code, LF, "a chunk size");
        this.#countExcess();
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
        return this.#trailerByte(code, bytes, at);
    }
  }

  #sizeByte(code: number, bytes: Uint8Array, at: number): void {
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
    this.#sizePartEnd(code, bytes, at, "a chunk size is malformed");
  }

  /** `;name`, `;name=token` or `;name="quoted"`, without the spaces that RFC 9112 §7.1.1 allows around `=`. */
  #extensionByte(code: number, bytes: Uint8Array, at: number): void {
    switch (this.#state) {
      case EXTENSION_NAME_START:
        if (isSpace(code)) return void (bytes[at] = FILLER);
        this.#state = EXTENSION_NAME;
        return require(isTokenCharacter(code));
      case EXTENSION_NAME:
        if (code === EQUALS) this.#state = EXTENSION_VALUE_START;
        else if (!isTokenCharacter(code)) this.#sizePartEnd(code, bytes, at);
        return;
      case EXTENSION_VALUE_START:
        this.#state = code === QUOTE ? EXTENSION_QUOTED : EXTENSION_VALUE;
        return require(code === QUOTE || isTokenCharacter(code));
      case EXTENSION_VALUE:
        if (!isTokenCharacter(code)) this.#sizePartEnd(code, bytes, at);
        return;
      case EXTENSION_QUOTED:
        if (code === QUOTE) this.#state = EXTENSION_QUOTED_END;
        else if (code === BACKSLASH) this.#state = EXTENSION_ESCAPED;
        return require(isValueCharacter(code));
      case EXTENSION_ESCAPED:
        this.#state = EXTENSION_QUOTED;
        return require(isValueCharacter(code));
      case EXTENSION_QUOTED_END:
        return this.#sizePartEnd(code, bytes, at);
    }
  }

  /** The byte after the size or after an extension. */
  #sizePartEnd(code: number, bytes: Uint8Array, at: number, problem = EXTENSION_MALFORMED): void {
    if (code === SEMICOLON) this.#state = EXTENSION_NAME_START;
    else if (code === CR) this.#state = SIZE_END;
    else if (isSpace(code)) {
      bytes[at] = SEMICOLON;
      this.#state = EXTENSION_SPACE;
    } else throw new MalformedMessage(problem);
  }

  /**
   * The first space before a `;` has been replaced by `;`. The other spaces, and the `;` itself, become part of the
   * extension's name. Recipients ignore extensions that they don't know, but not all of them accept the spaces.
   */
  #spaceByte(code: number, bytes: Uint8Array, at: number): void {
    if (code === SEMICOLON) this.#state = EXTENSION_NAME_START;
    else if (!isSpace(code)) throw new MalformedMessage("a chunk size is malformed");
    bytes[at] = FILLER;
    this.#countLine();
  }

  #trailerByte(code: number, bytes: Uint8Array, at: number): void {
    if (++this.#trailerBytes > this.#mostTrailerBytes) throw new MalformedMessage("the trailers are too long");
    switch (this.#state) {
      case TRAILER_START:
        this.#dropping = false;
        if (code === CR) {
          this.#state = END_LF;
          return this.#keep(code, bytes);
        }
        this.#trailerName = "";
        if (this.#keptTo === -1) this.#keptTo = at;
        return this.#trailerNameByte(code);
      case TRAILER_NAME:
        if (code === COLON) this.#endTrailerName(bytes, at);
        else this.#trailerNameByte(code);
        return;
      case TRAILER_VALUE:
        if (code === CR) this.#state = TRAILER_LF;
        else if (!isValueCharacter(code)) throw new MalformedMessage("a trailer is malformed");
        return this.#keep(code, bytes);
      case TRAILER_LF:
        expect(code, LF, "a trailer");
        this.#state = TRAILER_START;
        return this.#keep(code, bytes);
      case END_LF:
        expect(code, LF, "the body");
        this.#state = DONE;
        return this.#keep(code, bytes);
    }
  }

  #trailerNameByte(code: number): void {
    if (!isTokenCharacter(code)) throw new MalformedMessage("a trailer is malformed");
    this.#trailerName += String.fromCharCode(code);
    this.#state = TRAILER_NAME;
  }

  /** @param at the position of the colon */
  #endTrailerName(bytes: Uint8Array, at: number): void {
    const name = this.#trailerName;
    if (NEVER_TRAILERS.has(name.toLowerCase())) throw new MalformedMessage(`${name} in the trailers`);
    this.#state = TRAILER_VALUE;
    this.#dropping = this.#dropsTrailer?.(name) === true;
    if (this.#dropping) return;
    const begun = at - name.length;
    if (begun < this.#keptFrom) {
      this.#ahead = `${name}:`;
      this.#keptFrom = at + 1;
      this.#keptTo = -1;
    } else if (begun === this.#keptTo) this.#keptTo = -1; // nothing was dropped before it
    else {
      bytes.copyWithin(this.#keptTo, begun, at + 1);
      this.#keptTo += name.length + 1;
    }
  }

  /** Moves a byte of the trailers to an earlier place, if something before it was dropped. */
  #keep(code: number, bytes: Uint8Array): void {
    if (this.#keptTo !== -1 && !this.#dropping) bytes[this.#keptTo++] = code;
  }

  #countExcess(): void {
    const excess = this.#excessBytes + this.#lineBytes + LINE_END_BYTES - EXCUSED_BYTES - 2 * this.#left;
    if (excess > MOST_EXCESS_BYTES) throw new MalformedMessage("the chunks are mostly framing");
    this.#excessBytes = Math.max(excess, 0);
  }

  #countLine(): void {
    if (++this.#lineBytes > MOST_LINE_BYTES) throw new MalformedMessage("a chunk's line is too long");
  }
}

const EXTENSION_MALFORMED = "a chunk extension is malformed";

function require(wellFormed: boolean): void {
  if (!wellFormed) throw new MalformedMessage(EXTENSION_MALFORMED);
}

function expect(code: number, wanted: number, what: string): void {
  if (code !== wanted) throw new MalformedMessage(`${what} is not followed by CRLF`);
}
