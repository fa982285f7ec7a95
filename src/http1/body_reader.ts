/** Follows a body through its bytes, however it is framed, so that whoever relays it knows where it ends. */

import type { BodyFraming } from "./body.ts";
import { ChunkedReader, type DataListener, type TrailerRule } from "./chunked.ts";

export interface BodyReader {
  /** Bytes of data so far, without any framing. */
  readonly dataBytes: number;
  /** Whether the body has come whole; never, for one that ends with its connection. */
  readonly done: boolean;
  /**
   * Reads on; returns where the body's bytes end, or `end` while it goes on. May change bytes of the framing in place.
   *
   * @param onData told where data is, less the framing
   * @throws {MalformedMessage}
   */
  read(bytes: Uint8Array, start: number, end: number, onData?: DataListener): number;
  /**
   * Returns what of the bytes of the last read is to go on.
   *
   * @param end what that read returned
   */
  kept(bytes: Uint8Array, end: number): Uint8Array;
}

/**
 * @param mostTrailerBytes longer trailers are refused
 * @param dropsTrailer see `ChunkedReader`
 */
export function bodyReader(framing: BodyFraming, mostTrailerBytes: number, dropsTrailer?: TrailerRule): BodyReader {
  switch (framing.kind) {
    case "length":
      return new LengthReader(framing.bytes);
    case "chunked":
      return new ChunkedReader(mostTrailerBytes, dropsTrailer);
    case "until-close":
      return new LengthReader(Infinity);
  }
}

class LengthReader implements BodyReader {
  dataBytes = 0;
  readonly #bytes: number;
  #start = 0;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.dataBytes === this.#bytes;
  }

  read(bytes: Uint8Array, start: number, end: number, onData?: DataListener): number {
    const to = Math.min(end, start + this.#bytes - this.dataBytes);
    this.dataBytes += to - start;
    onData?.(bytes, start, to);
    this.#start = start;
    return to;
  }

  kept(bytes: Uint8Array, end: number): Uint8Array {
    return bytes.subarray(this.#start, end);
  }
}
