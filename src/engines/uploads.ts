/** The request bodies that are arriving at an engine. */

/** Counts them. A stopping engine waits for the last one first. */
export class Uploads {
  #underWay = 0;
  /** Only while somebody waits, so that an upload costs no promise. */
  #none: PromiseWithResolvers<void> | undefined;

  /** Whoever begins one has to end it, once. */
  begin(): void {
    this.#underWay++;
  }

  end(): void {
    if (--this.#underWay > 0) return;
    this.#none?.resolve();
    this.#none = undefined;
  }

  /** Settles when none is under way any more. */
  async allEnded(): Promise<void> {
    while (this.#underWay > 0) { // another one may have begun by the time that this goes on
      this.#none ??= Promise.withResolvers();
      await this.#none.promise;
    }
  }
}
