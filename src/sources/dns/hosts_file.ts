/** What `/etc/hosts` says of a name. */

import ipaddr from "ipaddr.js";

/** The addresses of a name, each once. None: the file does not know it. */
export function addressesInHosts(text: string, name: string): string[] {
  const wanted = name.toLowerCase();
  if (!text.toLowerCase().includes(wanted)) return []; // the file may be long, and is rarely about our name
  const found = new Set<string>();
  for (const line of text.split("\n")) {
    const [said = ""] = line.split("#", 1);
    const [address = "", ...names] = said.trim().split(/\s+/);
    if (names.some((other) => other.toLowerCase() === wanted) && ipaddr.isValid(address)) found.add(address);
  }
  return [...found];
}
