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
  /** It will not get one: a client with less work has taken its place. */
  giveWay(): void;
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

  /**
   * Begins the work now or in its turn. Returns whether there was a place for it. If all are taken, the client with the
   * most gives its last one up. Otherwise two clients could keep all others out.
   */
  enter(work: Waiting): boolean {
    const own = this.#waiting.get(work.client);
    const count = own?.length ?? 0;
    const isFree = this.#running < this.#atATime;
    if (!isFree && count >= MOST_OF_CLIENT) return false;
    if (!isFree && this.#count >= MOST_WAITING && !this.#makeRoom(count)) return false;
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

  /** @param count what the client has for whom there is to be room. It must have less than the other even then */
  #makeRoom(count: number): boolean {
    let most: Waiting[] = [];
    for (const works of this.#waiting.values()) if (works.length > most.length) most = works;
    if (most.length <= count + 1) return false;
    this.#count--;
    most.pop()?.giveWay();
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
