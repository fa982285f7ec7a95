/** Looks up a header by its name. The usual case, a name that is not in the table, costs almost nothing. */

interface Row<Entry> {
  readonly name: string;
  readonly entry: Entry;
}

/** One entry for each of a few header names, in upper or lower case. */
export class HeaderTable<const Entry extends string> {
  /** The rows, by the length of the name. */
  readonly #rows: readonly (readonly Row<Entry>[] | undefined)[];
  readonly #underscored: Entry | undefined;

  /**
   * @param entries the entries by name in lower case
   * @param underscored the entry of names that have `_` where a name in the table has `-`. Without it, they have no
   * entry
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
    const first = name.charCodeAt(0) | 0x20; // usually another letter; then no lower-case copy is made
    for (const row of rows) {
      if (row.name.charCodeAt(0) !== first) continue;
      const lower = name.toLowerCase();
      if (lower === row.name) return row.entry;
      if (this.#underscored !== undefined && dashed(lower) === row.name) return this.#underscored;
    }
    return undefined;
  }
}

/** Replaces `_` by `-` in a lower-case name. WSGI, CGI and PHP read `x_real_ip` as the same header as `x-real-ip`. */
export function dashed(name: string): string {
  return name.includes("_") ? name.replaceAll("_", "-") : name;
}
