/** The metrics of the certificates that clients get, and of those that backends are shown. */

import { FOR_BACKENDS } from "../tls/certificate_source.ts";
import type { CertificateState } from "../tls/store.ts";
import { type Family, gauge } from "./metric_family.ts";

/** @param states the one that ends first is the first */
export function certificateFamilies(states: readonly CertificateState[]): Family[] {
  if (states.length === 0) return [];
  const ends = new Map<string, number>();
  const failed = new Map<string, number>();
  for (const { names: [name = "none"], expires, source, error } of states) {
    if (!ends.has(name)) ends.set(name, expires.getTime() / 1000);
    if (source !== FOR_BACKENDS) failed.set(source, error === undefined ? failed.get(source) ?? 0 : 1);
  }
  const families = [
    gauge(
      "roundhouse_certificate_expiry_seconds",
      "End of a certificate that clients get, or that backends are shown, since the Unix epoch.",
      Array.from(ends, ([name, value]) => ({ labels: { name }, value })),
    ),
  ];
  if (failed.size === 0) return families;
  return [
    ...families,
    gauge(
      "roundhouse_certificate_failed",
      "1: a certificate of this source could not be made or renewed.",
      Array.from(failed, ([source, value]) => ({ labels: { source }, value })),
    ),
  ];
}
