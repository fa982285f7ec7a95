/** One EndpointSlice of `discovery.k8s.io/v1`, read from the JSON of the API server. Only what counts here is kept. */

import ipaddr from "ipaddr.js";
import * as z from "zod";
import { diagnosticLine, readWith } from "../../config/diagnostics.ts";
import { SourceError } from "../source.ts";

/** A part of the endpoints of a service. */
export interface EndpointSlice {
  readonly name: string;
  /** Its `resourceVersion`: changes with each change of the slice. */
  readonly version: string;
  readonly family: "IPv4" | "IPv6" | "FQDN";
  /** Those of TCP. */
  readonly ports: readonly SlicePort[];
  /** How many endpoints it has, whatever their conditions. */
  readonly size: number;
  /** Those that may take requests. */
  readonly endpoints: readonly Endpoint[];
}

export interface SlicePort {
  /** Empty if it has none. A service with several ports names each of them. */
  readonly name: string;
  /** `null`: every port is allowed. */
  readonly number: number | null;
}

export interface Endpoint {
  /** As it stands in a URL. */
  readonly host: string;
  /** Whether it terminates, but still serves. */
  readonly leaving: boolean;
}

/** The API server allows so many. */
const MOST_ENDPOINTS = 1000;
const MOST_PORTS = 100;

const NAME_WANTED = "the name of an object";
const name = z.string(NAME_WANTED).min(1, NAME_WANTED).max(253, NAME_WANTED);

const VERSION_WANTED = "a resource version";
const version = z.string(VERSION_WANTED).min(1, VERSION_WANTED).max(128, VERSION_WANTED);

const condition = z.boolean().nullish();
const conditions = z.object({ ready: condition, serving: condition, terminating: condition });

const ADDRESSES_WANTED = "a list of addresses";

const endpoint = z.object({
  addresses: z.array(z.string("an address")).min(1, ADDRESSES_WANTED).max(100, ADDRESSES_WANTED),
  conditions: conditions.nullish(),
});

const PORT_WANTED = "a whole number from 1 to 65535";

const port = z.object({
  name: z.string().nullish(),
  port: z.int(PORT_WANTED).min(1, PORT_WANTED).max(65535, PORT_WANTED).nullish(),
  protocol: z.string().nullish(),
});

const metadata = z.object({ name, resourceVersion: version, labels: z.record(z.string(), z.string()).nullish() });

const slice = z.object({
  kind: z.literal("EndpointSlice").optional(), // items of a list do not repeat it
  metadata,
  addressType: z.enum(["IPv4", "IPv6", "FQDN"]),
  endpoints: z.array(endpoint).max(MOST_ENDPOINTS, `at most ${MOST_ENDPOINTS} endpoints`).nullish(),
  ports: z.array(port).max(MOST_PORTS, `at most ${MOST_PORTS} ports`).nullish(),
});

/** The label that every slice of a service has. */
export const SERVICE_LABEL = "kubernetes.io/service-name";

/**
 * Reads a slice of this service.
 *
 * @throws {SourceError} with the name of the slice and the place in it
 */
export function readSlice(value: unknown, service: string): EndpointSlice {
  const { metadata, addressType, endpoints, ports } = readAs(slice, value);
  const owner = metadata.labels?.[SERVICE_LABEL];
  if (owner !== service) {
    const got = owner === undefined ? "no label" : `the label ${JSON.stringify(owner)}`;
    throw refusal(metadata.name, `got ${got} ${SERVICE_LABEL}, want ${JSON.stringify(service)}`);
  }
  return {
    name: metadata.name,
    version: metadata.resourceVersion,
    family: addressType,
    ports: (ports ?? []).filter(({ protocol }) => (protocol ?? "TCP") === "TCP").map(({ name, port }) => ({
      name: name ?? "",
      number: port ?? null,
    })),
    size: endpoints?.length ?? 0,
    endpoints: addressType === "FQDN" ? [] : (endpoints ?? []).flatMap((endpoint, index): readonly Endpoint[] => {
      const host = readHost(endpoint.addresses[0], addressType, { slice: metadata.name, index });
      const leaving = isLeaving(endpoint.conditions ?? {});
      return leaving === undefined ? [] : [{ host, leaving }];
    }),
  };
}

/** Whether an endpoint that may take requests terminates; `undefined`: it may take none. */
function isLeaving({ ready, serving, terminating }: z.output<typeof conditions>): boolean | undefined {
  const isReady = ready ?? true; // unknown counts as ready
  // Terminating endpoints are not ready, unless the service publishes them whatever they are.
  if (terminating === true) return isReady || serving === true ? true : undefined;
  return isReady ? false : undefined;
}

/** Which slice has gone. */
export interface GoneSlice {
  readonly name: string;
  readonly version: string;
}

const goneSlice = z.object({ kind: z.literal("EndpointSlice").optional(), metadata });

/** Reads a slice that is deleted, of which only the name counts. */
export function readGoneSlice(value: unknown): GoneSlice {
  const { metadata: { name, resourceVersion } } = readAs(goneSlice, value);
  return { name, version: resourceVersion };
}

const bookmark = z.object({
  kind: z.literal("EndpointSlice").optional(),
  metadata: z.object({ resourceVersion: version }),
});

/** Reads the version that a bookmark tells. */
export function readBookmark(value: unknown): string {
  return readAs(bookmark, value).metadata.resourceVersion;
}

/** Only the first address counts: what others would mean is not defined. */
function readHost(
  address: string | undefined,
  family: "IPv4" | "IPv6",
  place: { slice: string; index: number },
): string {
  if (address !== undefined && isOfFamily(address, family)) {
    const parsed = ipaddr.parse(address);
    // The address of no one would lead to this machine.
    if (parsed.range() !== "unspecified") {
      return parsed.kind() === "ipv4" ? parsed.toString() : `[${parsed.toString()}]`;
    }
  }
  const got = JSON.stringify(address?.slice(0, 80));
  throw refusal(place.slice, `endpoints[${place.index}].addresses[0]: got ${got}, want an ${family} address`);
}

function isOfFamily(address: string, family: "IPv4" | "IPv6"): boolean {
  if (family === "IPv4") return ipaddr.IPv4.isValidFourPartDecimal(address);
  return ipaddr.IPv6.isValid(address) && !address.includes("%"); // a zone means something on its own machine only
}

const named = z.object({ metadata: z.object({ name }) });

function readAs<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const reading = readWith(schema, value);
  if (reading.ok) return reading.value;
  const [first] = reading.diagnostics;
  throw refusal(
    named.safeParse(value).data?.metadata.name,
    first === undefined ? "want an EndpointSlice" : diagnosticLine(first),
  );
}

function refusal(name: string | undefined, text: string): SourceError {
  return new SourceError(`EndpointSlice ${name === undefined ? "" : `${JSON.stringify(name)} `}${text}`);
}
