/** Finds what is to be done with a header by its name, at next to no cost for the many with which nothing is. */

interface Row<Entry> {
  readonly name: string;
  readonly entry: Entry;
}

/** One entry for each of a few header names, whatever their case. */
export class HeaderTable<const Entry extends string> {
  /** By the length of the name. */
  readonly #rows: readonly (readonly Row<Entry>[] | undefined)[];

  /** @param entries by name in lower case */
  constructor(entries: Readonly<Record<string, Entry>>) {
    const rows: Row<Entry>[][] = [];
    for (const [name, entry] of Object.entries(entries)) (rows[name.length] ??= []).push({ name, entry });
    this.#rows = Array.from(rows);
  }

  get(name: string): Entry | undefined {
    const rows = this.#rows[name.length];
    if (rows === undefined) return undefined;
    const first = name.charCodeAt(0) | 0x20; // nearly always another letter: then no copy in lower case is made
    for (const row of rows) {
      if (row.name.charCodeAt(0) === first && name.toLowerCase() === row.name) return row.entry;
    }
    return undefined;
  }
}
