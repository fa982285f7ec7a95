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
}

/**
 * @param mostTrailerBytes longer trailers are refused
 * @param refusesTrailer see `ChunkedReader`
 */
export function bodyReader(framing: BodyFraming, mostTrailerBytes: number, refusesTrailer?: TrailerRule): BodyReader {
  switch (framing.kind) {
    case "length":
      return new LengthReader(framing.bytes);
    case "chunked":
      return new ChunkedReader(mostTrailerBytes, refusesTrailer);
    case "until-close":
      return new LengthReader(Infinity);
  }
}

class LengthReader implements BodyReader {
  dataBytes = 0;
  readonly #bytes: number;

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
    return to;
  }
}
