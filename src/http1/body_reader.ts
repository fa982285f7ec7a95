/** Finds where a body ends while its bytes pass, for each kind of framing. */

import type { BodyFraming } from "./body.ts";
import { ChunkedReader, type DataListener, type TrailerRule } from "./chunked.ts";

export interface BodyReader {
  /** Bytes of data so far, without the framing. */
  readonly dataBytes: number;
  /** Whether the whole body has arrived. Never true for a body that ends when its connection does. */
  readonly done: boolean;
  /**
   * Reads the next bytes. Returns where the body ends in them, or `end` if it goes on. May change bytes of the framing
   * in place.
   *
   * @param onData called with the position of the data, which is without the framing
   * @throws {MalformedMessage}
   */
  read(bytes: Uint8Array, start: number, end: number, onData?: DataListener): number;
  /**
   * Returns the bytes of the last read that are to be forwarded.
   *
   * @param end the value that this read returned
   */
  kept(bytes: Uint8Array, end: number): Uint8Array;
}

/**
 * @param mostTrailerBytes longer trailers are refused as malformed
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
