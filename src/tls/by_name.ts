/** Chooses a certificate by the name that a client asks for (SNI, RFC 6066 §3). */

import ipaddr from "ipaddr.js";

/** A host name without its last dot and in lower case; an IP address as it is usually written. */
export function oneSpelling(name: string): string {
  if (ipaddr.isValid(name)) return ipaddr.parse(name).toString();
  return (name.endsWith(".") ? name.slice(0, -1) : name).toLowerCase();
}

/** An entry for each name. Finding one takes the same time, however many there are. */
export class ByName<Entry extends { readonly names: readonly string[] }> {
  readonly #first: Entry;
  readonly #entries = new Map<string, Entry>();

  /** @param entries in order: a name belongs to the first one that has it */
  constructor(entries: readonly [Entry, ...Entry[]]) {
    this.#first = entries[0];
    for (const entry of entries) {
      for (const name of entry.names) {
        if (!this.#entries.has(name)) this.#entries.set(name, entry);
      }
    }
  }

  /**
   * The entry that has this name, or else a wildcard in place of its first label. The first entry, if there is none or the
   * client names no host.
   */
  get(name: string | undefined): Entry {
    if (name === undefined || name === "") return this.#first;
    const spelled = oneSpelling(name);
    const labelEnd = spelled.indexOf(".");
    const wildcard = labelEnd > 0 ? this.#entries.get(`*${spelled.slice(labelEnd)}`) : undefined;
    return this.#entries.get(spelled) ?? wildcard ?? this.#first;
  }
}
