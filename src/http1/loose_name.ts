/**
 * Names of header fields as the most careless program reads them. CGI, WSGI and PHP make variables of them, in which `-`,
 * `_`, `.` and other characters become the same: to them, `X_User` is `X-User`.
 */

/** The one spelling that all of these have in common: in lower case, with `-` for all but letters and digits. */
export function looseName(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, "-");
}

/** A set of names, in any of their spellings. */
export class LooseNames {
  readonly #names: ReadonlySet<string>;
  readonly #lengths: ReadonlySet<number>;

  constructor(names: Iterable<string>) {
    this.#names = new Set(Array.from(names, looseName));
    this.#lengths = new Set(Array.from(this.#names, (name) => name.length));
  }

  has(name: string): boolean {
    return this.#lengths.has(name.length) && this.#names.has(looseName(name));
  }
}
