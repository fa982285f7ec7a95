/** What the first certificate of a chain says of itself. */

import { oneSpelling } from "./by_name.ts";
import { x509 } from "./x509.ts";

/** The names that a certificate is for, and how long. */
export interface Leaf {
  /** Host names and IP addresses, in one spelling. */
  readonly names: readonly string[];
  readonly begins: Date;
  readonly expires: Date;
}

const DAY_MS = 86_400_000;

/** With less than this left, there are warnings. */
const WARNING_MS = 14 * DAY_MS;

/** Of a certificate that is valid for a few days only, with less than this part of its life. */
const WARNING_PART = 1 / 6;

/** Subjects that are no hosts, such as people, have other prefixes. */
const HOST = /^(?:DNS|IP Address):/;

/** Reads the first certificate of a chain in PEM. */
export function leafOf(chain: string): Leaf {
  const { subject, subjectAltName = "", validFrom, validTo } = x509(chain);
  const hosts = subjectAltName.split(", ").filter((name) => HOST.test(name)).map((name) => name.replace(HOST, ""));
  const [, common] = /^CN=(.+)$/m.exec(subject) ?? [];
  const names = hosts.length === 0 && common !== undefined ? [common] : hosts;
  return { names: names.map(oneSpelling), begins: new Date(validFrom), expires: new Date(validTo) };
}

/** Whether it is time to warn people. */
export function endsSoon({ begins, expires }: Leaf, now: Date, warningMs = WARNING_MS): boolean {
  const lifeMs = expires.getTime() - begins.getTime();
  return expires.getTime() - now.getTime() < Math.min(warningMs, lifeMs * WARNING_PART);
}
