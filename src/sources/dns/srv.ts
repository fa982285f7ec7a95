/** Backends by SRV records. */

import type { SrvDiscover } from "../../config/discover/srv.ts";
import { isHostName } from "../../config/discover/host_name.ts";
import { show } from "../../config/diagnostics.ts";
import type { DnsContext } from "./dns.ts";
import { type Finding, follow } from "./following.ts";
import { type KnownAddresses, shortest } from "./known_names.ts";
import { Lookups } from "./lookups.ts";
import type { DnsRecord, ServiceRecord } from "./message.ts";
import { refuseTooMany, specOf } from "./specs.ts";
import { type BackendSource, type FoundBackend, SourceError, type SourceReport } from "../source.ts";

/** The heaviest backend. */
const MOST_WEIGHT = 256;

/** Targets whose addresses are asked for at the same time. */
const AT_A_TIME = 16;

/** An address where a service is. */
interface Place extends ServiceRecord {
  readonly address: string;
}

export class SrvSource implements BackendSource {
  readonly #discover: Omit<SrvDiscover, "kind">;
  readonly #context: DnsContext;
  readonly #lookups: Lookups;

  constructor(discover: Omit<SrvDiscover, "kind">, context: DnsContext) {
    this.#discover = discover;
    this.#context = context;
    this.#lookups = new Lookups(discover.server, context);
  }

  async run(report: SourceReport, stop: AbortSignal): Promise<void> {
    await follow((signal) => this.#lookUp(signal), report, stop, { ...this.#discover, ...this.#context });
  }

  async #lookUp(stop: AbortSignal): Promise<Finding> {
    const found = await this.#lookups.services(this.#discover.name, stop);
    const services = servicesOf(found.items);
    const targets = await this.#addresses(new Set(services.map(({ target }) => target)), found.additionals, stop);
    this.#lookups.known.forgetOthers();
    const places = services.flatMap((service) =>
      targets.get(service.target)?.items.map((address) => ({ ...service, address })) ?? []
    );
    refuseTooMany(places.length);
    const all = [found, ...targets.values()];
    const [problem = null] = all.map(({ problem }) => problem).filter((problem) => problem !== null);
    return { backends: this.#backends(places), ttlS: shortest(all.map(({ ttlS }) => ttlS)), problem };
  }

  /** The addresses of each target: those that came with the records, else asked for. */
  async #addresses(targets: ReadonlySet<string>, additionals: readonly DnsRecord[], stop: AbortSignal) {
    const { known } = this.#lookups;
    const given = Map.groupBy(additionals.filter(isAddressRecord), ({ name }) => name);
    const config = await this.#lookups.config(stop);
    const left = [...targets];
    const found = new Map<string, KnownAddresses>();
    const work = async () => {
      for (let target = left.pop(); target !== undefined; target = left.pop()) {
        const told = given.get(target);
        const addresses = told === undefined ? await known.addresses(target, config, stop) : known.learn(target, told);
        found.set(target, addresses);
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, work));
    return found;
  }

  #backends(places: readonly Place[]): FoundBackend[] {
    const { scheme } = this.#discover;
    const served = Math.min(...places.map(({ priority }) => priority));
    return distinctPlaces(places).map(({ address, port, target, weight, priority }) => ({
      spec: specOf({ scheme, address, port, name: target, weight, backup: priority !== served }),
    })).sort((one, other) => one.spec.url < other.spec.url ? -1 : 1);
  }
}

/** Each place once, by its lowest priority, with weights from 1 to 256 in the proportions of those of its priority. */
export function distinctPlaces(places: readonly Place[]): Place[] {
  const distinct = new Map<string, Place>();
  for (const place of places) {
    const key = `${place.address} ${place.port}`;
    const earlier = distinct.get(key);
    if (earlier === undefined || place.priority < earlier.priority) distinct.set(key, place);
    else if (place.priority === earlier.priority) {
      distinct.set(key, { ...earlier, weight: earlier.weight + place.weight });
    }
  }
  const heaviest = new Map<number, number>();
  for (const { priority, weight } of distinct.values()) {
    heaviest.set(priority, Math.max(heaviest.get(priority) ?? 0, weight));
  }
  return Array.from(distinct.values(), (place) => {
    const most = Math.max(heaviest.get(place.priority) ?? 0, MOST_WEIGHT);
    return { ...place, weight: Math.max(1, Math.round(place.weight * MOST_WEIGHT / most)) };
  });
}

/**
 * What the records say. The target `.` means that there is no such service (RFC 2782).
 *
 * @throws {SourceError}
 */
function servicesOf(records: readonly DnsRecord[]): ServiceRecord[] {
  return records.flatMap((record) => {
    if (record.type !== "SRV" || record.data.target === ".") return [];
    const { name, data } = record;
    if (data.port === 0) throw new SourceError(`SRV ${name}: got port 0 of ${show(data.target, [])}, want 1 to 65535`);
    if (!isHostName(data.target)) throw new SourceError(`SRV ${name}: got ${show(data.target, [])}, want a host name`);
    return [data];
  });
}

function isAddressRecord({ type }: DnsRecord): boolean {
  return type === "A" || type === "AAAA";
}
