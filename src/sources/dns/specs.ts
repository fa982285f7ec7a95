/** Backends at addresses that DNS has told. */

import { MAX_BACKENDS } from "../../config/backend_limit.ts";
import { isAddress } from "../../config/discover/host_name.ts";
import type { BackendSpec } from "../../config/schema.ts";
import { plainBackend } from "../backend_list.ts";
import { SourceError } from "../source.ts";
import { urlAt } from "./addresses.ts";

/** Where a backend is, and what it is called. */
export interface Found {
  readonly scheme: "http" | "https";
  readonly address: string;
  readonly port: number;
  /** The name that was looked up. With `https`, its certificate is for that. */
  readonly name: string;
  readonly weight?: number;
  readonly backup?: boolean;
}

export function specOf({ scheme, address, port, name, weight = 1, backup = false }: Found): BackendSpec {
  const spec = plainBackend(urlAt(scheme, address, port), weight, backup);
  if (scheme === "http" || isAddress(name)) return spec;
  return { ...spec, tls: { ...spec.tls, serverName: name.replace(/\.$/, "") } };
}

/** @throws {SourceError} when there are more than can be in all pools */
export function refuseTooMany(count: number): void {
  if (count > MAX_BACKENDS) throw new SourceError(`got ${count} addresses, want at most ${MAX_BACKENDS}`);
}
