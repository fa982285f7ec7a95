/**
 * One `SharedArrayBuffer`, handed out piece by piece. Pieces begin and end with cache lines, so that no two of them share
 * one. Every isolate takes the same pieces in the same order and so finds the same ones.
 *
 * Memory that nobody has written to costs nothing but addresses: a table may have room for far more than is used.
 */

/** Bytes of a cache line: what two isolates write to often has to be on lines of its own. */
export const LINE = 64;

/** 32-bit cells of a cache line. */
export const LINE_WORDS = LINE / Int32Array.BYTES_PER_ELEMENT;

/** 64-bit cells of a cache line. */
export const LINE_FLOATS = LINE / Float64Array.BYTES_PER_ELEMENT;

/** A piece of the memory, as numbers of 32 and of 64 bits: `floats[n]` and `words[2 * n]` begin at the same byte. */
export interface Region {
  readonly words: Int32Array;
  readonly floats: Float64Array;
}

/** A buffer, and which of the isolates that share it looks at it. */
export interface Shared {
  readonly buffer: SharedArrayBuffer;
  /** How many isolates share it. */
  readonly isolates: number;
  /** Which of them this is: 0 to `isolates` - 1. No two that live have the same number. */
  readonly isolate: number;
}

/** One isolate's view of memory that is yet to be handed out. */
export class Arena implements Shared {
  readonly buffer: SharedArrayBuffer;
  readonly isolates: number;
  readonly isolate: number;
  #next: number;
  readonly #end: number;

  /** Allocates so many lines; the caller is isolate 0. */
  static allocate(isolates: number, lines: number): Arena {
    return new Arena({ buffer: new SharedArrayBuffer(lines * LINE), isolates, isolate: 0 });
  }

  constructor({ buffer, isolates, isolate }: Shared, from = 0, end = buffer.byteLength) {
    this.buffer = buffer;
    this.isolates = isolates;
    this.isolate = isolate;
    this.#next = from;
    this.#end = end;
  }

  /** The next `lines` lines. */
  take(lines: number): Region {
    const from = this.#advance(lines);
    const bytes = lines * LINE;
    return {
      words: new Int32Array(this.buffer, from, bytes / Int32Array.BYTES_PER_ELEMENT),
      floats: new Float64Array(this.buffer, from, bytes / Float64Array.BYTES_PER_ELEMENT),
    };
  }

  /** The next `count` × `lines` lines, as arenas of `lines` lines each, by number. */
  takeArenas(count: number, lines: number): (number: number) => Arena {
    const from = this.#advance(count * lines);
    return (number) => {
      if (number < 0 || number >= count) throw new RangeError(`there is no arena ${number} of ${count}`);
      const begin = from + number * lines * LINE;
      return new Arena(this, begin, begin + lines * LINE);
    };
  }

  #advance(lines: number): number {
    const from = this.#next;
    this.#next += lines * LINE;
    if (this.#next > this.#end) throw new RangeError("the arena is smaller than what is taken from it");
    return from;
  }
}

/** How many lines so many cells take, of which a line holds `perLine`. */
export function linesFor(cells: number, perLine: number): number {
  return Math.ceil(cells / perLine);
}
