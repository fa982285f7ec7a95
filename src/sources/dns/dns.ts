/** Backends by the addresses of a name. */

import type { DnsDiscover } from "../../config/discover/dns.ts";
import { isAddress } from "../../config/discover/host_name.ts";
import { type Finding, follow } from "./following.ts";
import { type LookupContext, Lookups } from "./lookups.ts";
import { refuseTooMany, specOf } from "./specs.ts";
import type { BackendSource, FoundBackend, SourceReport } from "../source.ts";

/** What sources that ask DNS work with. */
export interface DnsContext extends LookupContext {
  readonly random: () => number;
}

export class DnsSource implements BackendSource {
  readonly #discover: Omit<DnsDiscover, "kind">;
  readonly #context: DnsContext;
  readonly #lookups: Lookups;
  /** By address, so that those that stay cost nothing. */
  #found: ReadonlyMap<string, FoundBackend> = new Map();

  constructor(discover: Omit<DnsDiscover, "kind">, context: DnsContext) {
    this.#discover = discover;
    this.#context = context;
    this.#lookups = new Lookups(discover.server, context);
  }

  async run(report: SourceReport, stop: AbortSignal): Promise<void> {
    const { host } = this.#discover;
    if (!isAddress(host)) {
      return await follow((signal) => this.#lookUp(signal), report, stop, { ...this.#discover, ...this.#context });
    }
    report.found(this.#backends([host]));
    await fired(stop);
  }

  async #lookUp(stop: AbortSignal): Promise<Finding> {
    const { items, ttlS, problem } = await this.#lookups.addresses(this.#discover.host, stop);
    this.#lookups.known.forgetOthers();
    return { backends: this.#backends(items), ttlS, problem };
  }

  #backends(addresses: readonly string[]): readonly FoundBackend[] {
    const { host, port, scheme } = this.#discover;
    refuseTooMany(addresses.length);
    this.#found = new Map(addresses.map((address) => {
      const found = this.#found.get(address) ?? { spec: specOf({ scheme, address, port, name: host }) };
      return [address, found];
    }));
    return [...this.#found.values()];
  }
}

/** Resolves when the signal fires. */
function fired(stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (stop.aborted) return resolve();
    stop.addEventListener("abort", () => resolve(), { once: true });
  });
}
