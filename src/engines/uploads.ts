/** The request bodies that are arriving at an engine. */

/** Counts request bodies that are arriving. An engine that stops waits for the last one first. */
export class Uploads {
  #underWay = 0;
  /** Set only while a stop waits, so that an upload needs no promise. */
  #none: PromiseWithResolvers<void> | undefined;

  /** Counts an upload that begins. Each must be ended once. */
  begin(): void {
    this.#underWay++;
  }

  end(): void {
    if (--this.#underWay > 0) return;
    this.#none?.resolve();
    this.#none = undefined;
  }

  /** Settles when no upload is running. */
  async allEnded(): Promise<void> {
    while (this.#underWay > 0) { // another one may have begun before this continues
      this.#none ??= Promise.withResolvers();
      await this.#none.promise;
    }
  }
}
