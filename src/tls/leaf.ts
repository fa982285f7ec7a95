/** What the first certificate of a chain says of itself. */

import { X509Certificate } from "node:crypto";
import { oneSpelling } from "./by_name.ts";

/** The names that a certificate is for, and how long. */
export interface Leaf {
  /** Host names and IP addresses, in one spelling. */
  readonly names: readonly string[];
  readonly expires: Date;
}

/** Subjects that are no hosts, such as people, have other prefixes. */
const HOST = /^(?:DNS|IP Address):/;

/** Reads the first certificate of a chain in PEM. */
export function leafOf(chain: string): Leaf {
  const { subjectAltName = "", validTo } = new X509Certificate(chain);
  const hosts = subjectAltName.split(", ").filter((name) => HOST.test(name));
  return { names: hosts.map((name) => oneSpelling(name.replace(HOST, ""))), expires: new Date(validTo) };
}
