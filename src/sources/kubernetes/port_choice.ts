/** Which port of a service's slices is meant. */

import { SourceError } from "../source.ts";
import type { EndpointSlice, SlicePort } from "./endpoint_slice.ts";

/** A name or a number, as it is written; `null`: the only one. */
export type WantedPort = string | null;

/** So many ports are named in an error. */
const MOST_NAMED = 10;

/**
 * Finds the port in each slice. Slices of one service may have different ones: of an old and a new version, the same
 * name may have two numbers. `undefined`: the slice does not have it.
 *
 * @param slices those with endpoints
 * @throws {SourceError} if no slice has it, or no port is wanted and there are several; it names the choices
 */
export function choosePort(
  slices: readonly EndpointSlice[],
  wanted: WantedPort,
): (slice: EndpointSlice) => number | undefined {
  const found = new Map<EndpointSlice, number>();
  const name = wanted ?? onlyName(slices);
  for (const slice of slices) {
    const number = wanted !== null && isNumber(wanted) ? byNumber(slice, Number(wanted)) : byName(slice, name);
    if (number !== undefined) found.set(slice, number);
  }
  if (found.size === 0 && slices.length > 0) {
    throw new SourceError(`got the port ${JSON.stringify(wanted)}, want ${choices(slices)}`);
  }
  return (slice) => found.get(slice);
}

/** Names of ports have a letter in them. */
function isNumber(port: string): boolean {
  return /^[0-9]+$/.test(port);
}

/** The only name that the ports of all slices have; often it is empty. */
function onlyName(slices: readonly EndpointSlice[]): string {
  const names = new Set(slices.flatMap(({ ports }) => ports.map(({ name }) => name)));
  const [name] = names;
  if (name !== undefined && names.size === 1) return name;
  if (slices.length === 0) return "";
  throw new SourceError(`got no port in the setting, want ${choices(slices)}`);
}

function byName({ name: slice, ports }: EndpointSlice, wanted: string): number | undefined {
  const port = ports.find(({ name }) => name === wanted);
  if (port?.number === null) {
    throw new SourceError(`EndpointSlice ${JSON.stringify(slice)} leaves its port open, want a number in the setting`);
  }
  return port?.number;
}

function byNumber({ ports }: EndpointSlice, wanted: number): number | undefined {
  return ports.some(({ number }) => number === wanted || number === null) ? wanted : undefined;
}

function choices(slices: readonly EndpointSlice[]): string {
  const ports = new Set(slices.flatMap(({ ports }) => ports.map(shown)));
  if (ports.size === 0) return "a TCP port, of which the slices have none";
  const named = [...ports].sort().slice(0, MOST_NAMED).join(", ");
  return `${ports.size === 1 ? "" : "one of "}${named}${ports.size > MOST_NAMED ? "…" : ""}`;
}

function shown({ name, number }: SlicePort): string {
  const port = number === null ? "any number" : String(number);
  return name === "" ? port : `${JSON.stringify(name)} (${port})`;
}
