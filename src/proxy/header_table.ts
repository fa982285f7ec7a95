/** Finds what is to be done with a header by its name, at next to no cost for the many with which nothing is. */

interface Row<Entry> {
  readonly name: string;
  readonly entry: Entry;
}

/** One entry for each of a few header names, whatever their case. */
export class HeaderTable<const Entry extends string> {
  /** By the length of the name. */
  readonly #rows: readonly (readonly Row<Entry>[] | undefined)[];
  readonly #underscored: Entry | undefined;

  /**
   * @param entries by name in lower case
   * @param underscored the entry of names that have `_` where one of the table has `-`; without it they have none
   */
  constructor(entries: Readonly<Record<string, Entry>>, underscored?: Entry) {
    this.#underscored = underscored;
    const rows: Row<Entry>[][] = [];
    for (const [name, entry] of Object.entries(entries)) (rows[name.length] ??= []).push({ name, entry });
    this.#rows = Array.from(rows);
  }

  get(name: string): Entry | undefined {
    const rows = this.#rows[name.length];
    if (rows === undefined) return undefined;
    const first = name.charCodeAt(0) | 0x20; // nearly always another letter: then no copy in lower case is made
    for (const row of rows) {
      if (row.name.charCodeAt(0) !== first) continue;
      const lower = name.toLowerCase();
      if (lower === row.name) return row.entry;
      if (this.#underscored !== undefined && dashed(lower) === row.name) return this.#underscored;
    }
    return undefined;
  }
}

/** A name in lower case as it is usually spelled. WSGI, CGI and PHP take `x_real_ip` for the same header as `x-real-ip`. */
export function dashed(name: string): string {
  return name.includes("_") ? name.replaceAll("_", "-") : name;
}
