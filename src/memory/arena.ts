/**
 * Divides one `SharedArrayBuffer` into regions. Regions consist of whole cache lines, so no two regions share a line.
 * Every isolate takes the same regions in the same order, so all find the same ones.
 *
 * Memory that was never written to uses only addresses. So a table may have room for far more entries than are used.
 */

/** Bytes of a cache line. Cells that different isolates write often must be on different lines. */
export const LINE = 64;

/** 32-bit cells in a cache line. */
export const LINE_WORDS = LINE / Int32Array.BYTES_PER_ELEMENT;

/** 64-bit cells in a cache line. */
export const LINE_FLOATS = LINE / Float64Array.BYTES_PER_ELEMENT;

/**
 * A part of the memory, seen as 32-bit and as 64-bit numbers. `floats[n]` and `words[2 * n]` begin at the same byte.
 */
export interface Region {
  readonly words: Int32Array;
  readonly floats: Float64Array;
}

/** A buffer, and the isolate that uses it. */
export interface Shared {
  readonly buffer: SharedArrayBuffer;
  /** How many isolates share the buffer. */
  readonly isolates: number;
  /** The number of this isolate: 0 to `isolates` - 1. No two living isolates have the same number. */
  readonly isolate: number;
}

/** One isolate's view of the memory, from which regions are taken. */
export class Arena implements Shared {
  readonly buffer: SharedArrayBuffer;
  readonly isolates: number;
  readonly isolate: number;
  #next: number;
  readonly #end: number;

  /** Allocates `lines` cache lines. The caller is isolate 0. */
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

  /** Takes the next `lines` lines. */
  take(lines: number): Region {
    const from = this.#advance(lines);
    const bytes = lines * LINE;
    return {
      words: new Int32Array(this.buffer, from, bytes / Int32Array.BYTES_PER_ELEMENT),
      floats: new Float64Array(this.buffer, from, bytes / Float64Array.BYTES_PER_ELEMENT),
    };
  }

  /**
   * Takes the next `count` × `lines` lines. Returns a function that gives the arena with a number: 0 to `count` - 1.
   * Each has `lines` lines.
   */
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

/** How many lines `cells` cells need, at `perLine` cells a line. */
export function linesFor(cells: number, perLine: number): number {
  return Math.ceil(cells / perLine);
}
