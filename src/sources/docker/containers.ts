/** Reads the list of containers that Docker sends, and finds the address of each. */

import ipaddr from "ipaddr.js";
import * as z from "zod";
import type { DockerDiscover } from "../../config/discover/docker.ts";
import { MAX_BACKENDS } from "../../config/backend_limit.ts";
import { readAnswer } from "../asking.ts";
import { plainBackend } from "../backend_list.ts";
import { type FoundBackend, SourceError } from "../source.ts";

/** Which containers are backends, and how they are reached. */
export type WantedContainers = Pick<DockerDiscover, "label" | "value" | "port" | "scheme" | "network">;

const network = z.object({ IPAddress: z.string().nullish(), GlobalIPv6Address: z.string().nullish() });

const container = z.object({
  Id: z.string().min(1),
  Names: z.array(z.string()).nullish(),
  State: z.string(),
  /** For people, but the result of the container's own health check stands only here in older versions. */
  Status: z.string().nullish(),
  Health: z.object({ Status: z.string().nullish() }).nullish(),
  Labels: z.record(z.string(), z.string()).nullish(),
  HostConfig: z.object({ NetworkMode: z.string().nullish() }).nullish(),
  NetworkSettings: z.object({ Networks: z.record(z.string(), network.nullable()).nullish() }).nullish(),
});

const containers = z.array(container).max(MAX_BACKENDS, `at most ${MAX_BACKENDS} containers`);

type Container = z.output<typeof container>;

/**
 * The backends of an answer, in the order of their addresses, whatever the order of the answer. A container whose own
 * health check has not passed so far is none yet. One that fails it is leaving.
 *
 * @throws {SourceError} when the answer can't be believed, or it is not clear how a container is reached
 */
export function readContainers(value: unknown, wanted: WantedContainers): FoundBackend[] {
  const found = new Map<string, { readonly name: string; readonly backend: FoundBackend }>();
  for (const container of readAnswer(containers, value, "the list of containers")) {
    const name = nameOf(container);
    if (container.Labels?.[wanted.label] !== wanted.value) {
      throw new SourceError(`got ${name}, want only containers with the label ${wanted.label}=${wanted.value}`);
    }
    const health = healthOf(container);
    if (container.State !== "running" || health === "starting") continue;
    const url = urlOf(container, wanted);
    const other = found.get(url);
    if (other !== undefined) throw new SourceError(`got ${name} at the address of ${other.name} (${url})`);
    found.set(url, { name, backend: { spec: plainBackend(url), leaving: health === "unhealthy" } });
  }
  const urls = [...found.keys()].sort();
  return urls.flatMap((url) => found.get(url)?.backend ?? []);
}

/** `container "web-1"`. */
function nameOf({ Id, Names }: Container): string {
  const [name = Id.slice(0, 12)] = Names ?? [];
  return `container ${JSON.stringify(name.replace(/^\//, "").slice(0, 80))}`;
}

/** Of the container's own health check; `undefined`: it has none. */
function healthOf({ Status, Health }: Container): string | undefined {
  if (Health?.Status) return Health.Status === "none" ? undefined : Health.Status;
  const [, said] = /\((healthy|unhealthy|health: starting)\)$/.exec(Status ?? "") ?? [];
  return said?.replace("health: ", "");
}

function urlOf(container: Container, { port, scheme, network }: WantedContainers): string {
  const host = hostIn(container, network);
  return `${scheme}://${host}${port === (scheme === "http" ? 80 : 443) ? "" : `:${port}`}`;
}

/** The address as a URL has it: IPv4 if the network has such addresses. */
function hostIn(container: Container, wanted: string | null): string {
  const networks = Object.entries(container.NetworkSettings?.Networks ?? {})
    .map(([name, settings]) => ({ name, address: settings?.IPAddress || settings?.GlobalIPv6Address || "" }))
    .filter(({ name, address }) => address !== "" && (wanted === null || name === wanted));
  const [first, second] = networks;
  if (first === undefined) {
    const mode = container.HostConfig?.NetworkMode ?? "";
    const where = wanted === null ? "any network" : `the network ${JSON.stringify(wanted)}`;
    throw new SourceError(`${nameOf(container)} has no address in ${where}${mode === "" ? "" : ` (mode "${mode}")`}`);
  }
  if (second !== undefined) {
    const names = networks.map(({ name }) => JSON.stringify(name)).sort().join(", ");
    throw new SourceError(`${nameOf(container)} is in several networks: "network" must name one of ${names}`);
  }
  if (ipaddr.IPv4.isValidFourPartDecimal(first.address)) return first.address;
  if (ipaddr.IPv6.isValid(first.address)) return `[${ipaddr.IPv6.parse(first.address)}]`;
  throw new SourceError(`${nameOf(container)}: got the address ${JSON.stringify(first.address)}, want an IP address`);
}
