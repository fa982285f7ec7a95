/** All slices of a service, kept up to date by a list and by the events after it, and the backends in them. */

import { MAX_BACKENDS } from "../../config/backend_limit.ts";
import { plainBackend } from "../backend_list.ts";
import { type FoundBackend, SourceError } from "../source.ts";
import type { EndpointSlice, GoneSlice } from "./endpoint_slice.ts";
import { choosePort, type WantedPort } from "./port_choice.ts";

/** More than a service of the largest size has: one slice holds 100 endpoints if Kubernetes makes it. */
const MOST_SLICES = 4096;

/** Those of both address families and those that are not ready are held, too. */
const MOST_HELD = 4 * MAX_BACKENDS;

/** Which backends to make of endpoints. */
export interface WantedBackends {
  readonly port: WantedPort;
  readonly scheme: "http" | "https";
}

export class SliceTable {
  /** By name. `gone`: remembered until the next list, so that a late event does not bring it back. */
  readonly #slices = new Map<string, EndpointSlice | GoneSlice>();
  /** The version of the last list. */
  #listed = "";

  /** Begins again with a list. */
  replace(slices: readonly EndpointSlice[], version: string): void {
    this.#slices.clear();
    this.#listed = version;
    for (const slice of slices) this.#slices.set(slice.name, slice);
    this.#checkSize();
  }

  /** Takes over a slice that was added, changed or deleted. What is older than what is known changes nothing. */
  apply(slice: EndpointSlice | GoneSlice): void {
    const known = this.#slices.get(slice.name)?.version ?? this.#listed;
    if (!isNewer(slice.version, known)) return;
    this.#slices.set(slice.name, slice);
    this.#checkSize();
  }

  /**
   * The backends of one address family: IPv4 if any endpoint has such an address, otherwise IPv6. Each once.
   *
   * @throws {SourceError} if the port is not clear, there are only names, or there are too many
   */
  backends({ port, scheme }: WantedBackends): FoundBackend[] {
    const slices = this.#ofOneFamily();
    const portOf = choosePort(slices, port);
    const suffix = (number: number) => number === (scheme === "http" ? 80 : 443) ? "" : `:${number}`;
    /** By URL. An endpoint that moves to another slice may be in both for a moment. Being ready in one is enough. */
    const leaving = new Map<string, boolean>();
    for (const slice of slices) {
      const number = portOf(slice);
      if (number === undefined) continue;
      for (const endpoint of slice.endpoints) {
        const url = `${scheme}://${endpoint.host}${suffix(number)}`;
        leaving.set(url, (leaving.get(url) ?? true) && endpoint.leaving);
      }
    }
    if (leaving.size > MAX_BACKENDS) {
      throw new SourceError(`got ${leaving.size} endpoints, want at most ${MAX_BACKENDS}`);
    }
    return Array.from(leaving, ([url, isLeaving]) => ({ spec: plainBackend(url), leaving: isLeaving }));
  }

  /** In the order of their names, which does not depend on the order of events. */
  #ofOneFamily(): EndpointSlice[] {
    const present = [...this.#slices.values()].filter((slice) => "family" in slice).filter(({ size }) => size > 0)
      .sort((one, other) => one.name < other.name ? -1 : 1);
    for (const family of ["IPv4", "IPv6"]) {
      const slices = present.filter((slice) => slice.family === family);
      if (slices.length > 0) return slices;
    }
    const [named] = present;
    if (named === undefined) return [];
    throw new SourceError(
      `EndpointSlice ${JSON.stringify(named.name)} addressType: got "FQDN", want "IPv4" or "IPv6"; ` +
        `names are looked up with "dns:HOST:PORT"`,
    );
  }

  #checkSize(): void {
    let held = 0;
    for (const slice of this.#slices.values()) held += "size" in slice ? slice.size : 0;
    if (this.#slices.size > MOST_SLICES) throw new SourceError(`got more than ${MOST_SLICES} EndpointSlices`);
    if (held > MOST_HELD) throw new SourceError(`got ${held} endpoints in all slices, want at most ${MOST_HELD}`);
  }
}

const DECIMAL = /^[1-9][0-9]*$/;

/**
 * Whether a resource version is newer than another. They are numbers, which may be longer than numbers here. If one is
 * not, nobody can tell, and whatever comes later counts as newer.
 */
export function isNewer(version: string, other: string): boolean {
  if (!DECIMAL.test(version) || !DECIMAL.test(other)) return true;
  return version.length === other.length ? version > other : version.length > other.length;
}
