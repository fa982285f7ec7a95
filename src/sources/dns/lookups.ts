/** Looks a name up as this machine does, or as the one server does that the configuration names. */

import { splitHostPort } from "../../config/discover/host_name.ts";
import type { Clock } from "../../net/clock.ts";
import { usableAddress } from "./addresses.ts";
import { addressesInHosts } from "./hosts_file.ts";
import { type KnownAddresses, KnownNames, type KnownRecords } from "./known_names.ts";
import { RESOLVER_DEFAULTS, type ResolverConfig } from "./resolv_conf.ts";
import { firstThatExists, namesToTry } from "./search.ts";
import { SystemFiles, type SystemPaths } from "./system_files.ts";

/** How long the file of hosts is believed. */
const HOSTS_TTL_S = 5;

/** What lookups work with. */
export interface LookupContext {
  readonly clock: Clock;
  /** Where the files of the system are. Default: in `/etc`. */
  readonly paths?: SystemPaths;
}

export class Lookups {
  readonly known: KnownNames;
  /** The one server to ask; `undefined`: those of the system. */
  readonly #only: ResolverConfig | undefined;
  readonly #files: SystemFiles;

  /** @param server `ADDRESS:PORT`, or `null` for those of the system */
  constructor(server: string | null, { clock, paths }: LookupContext) {
    const only = server === null ? undefined : splitHostPort(server);
    this.#only = only && { ...RESOLVER_DEFAULTS, servers: [only] };
    this.#files = new SystemFiles(paths);
    this.known = new KnownNames(clock);
  }

  /** How questions are asked now. */
  config(stop: AbortSignal): Promise<ResolverConfig> {
    return this.#only === undefined ? this.#files.resolverConfig(stop) : Promise.resolve(this.#only);
  }

  /**
   * The addresses of a name as it was written.
   *
   * @throws {SourceError} when the file of hosts has an address that no backend can have
   */
  async addresses(written: string, stop: AbortSignal): Promise<KnownAddresses> {
    if (this.#only === undefined) {
      const addresses = addressesInHosts(await this.#files.hosts(stop), written);
      const items = addresses.map((address) => usableAddress(address, this.#files.paths.hosts));
      if (items.length > 0) return { items, ttlS: HOSTS_TTL_S, noSuchName: false, problem: null };
    }
    const config = await this.config(stop);
    return await firstThatExists(this.#names(written, config), (name) => this.known.addresses(name, config, stop));
  }

  /** The SRV records of a name as it was written. Never rejects. */
  async services(written: string, stop: AbortSignal): Promise<KnownRecords> {
    const config = await this.config(stop);
    return await firstThatExists(
      this.#names(written, config),
      (name) => this.known.records({ name, type: "SRV" }, config, stop),
    );
  }

  #names(written: string, config: ResolverConfig): string[] {
    return this.#only === undefined ? namesToTry(written, config) : [written.replace(/\.$/, "")];
  }
}
