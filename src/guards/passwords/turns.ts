/** Lets work begin one after the other, clients in turn, so that none keeps the others from their turn for long. */

/** How many may wait … */
const MOST_WAITING = 16;

/** … and how many of one client, so that one alone never fills all places. */
const MOST_OF_CLIENT = 8;

/** Work that waits for its turn. */
export interface Waiting {
  /** Whoever wants it. */
  readonly client: string;
  /** Begins it. The next turn comes when the promise settles. */
  run(): Promise<void>;
}

export class Turns {
  readonly #atATime: number;
  /** By client, each with at least one. The first client has the next turn. */
  readonly #waiting = new Map<string, Waiting[]>();
  #count = 0;
  #running = 0;

  constructor(atATime: number) {
    this.#atATime = atATime;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#count;
  }

  /** Begins the work now or in its turn. Returns whether there was a place for it. */
  enter(work: Waiting): boolean {
    const own = this.#waiting.get(work.client);
    const isFree = this.#running < this.#atATime;
    if (!isFree && (this.#count >= MOST_WAITING || (own?.length ?? 0) >= MOST_OF_CLIENT)) return false;
    if (own === undefined) this.#waiting.set(work.client, [work]);
    else own.push(work);
    this.#count++;
    this.#next();
    return true;
  }

  /** Takes work back that still waits. Returns whether it did. */
  leave(work: Waiting): boolean {
    const own = this.#waiting.get(work.client);
    const index = own?.indexOf(work) ?? -1;
    if (own === undefined || index === -1) return false;
    own.splice(index, 1);
    if (own.length === 0) this.#waiting.delete(work.client);
    this.#count--;
    return true;
  }

  #next(): void {
    while (this.#running < this.#atATime) {
      const [first] = this.#waiting;
      if (first === undefined) return;
      const [client, [work, ...others]] = first;
      this.#waiting.delete(client);
      if (work === undefined) continue; // never so: each client has at least one
      if (others.length > 0) this.#waiting.set(client, others);
      this.#count--;
      this.#running++;
      work.run().finally(this.#ended);
    }
  }

  readonly #ended = (): void => {
    this.#running--;
    this.#next();
  };
}
