/** Asks workers for descriptors of their sockets. A worker that hangs can't make the others wait. */

import { closeDescriptors } from "../net/shared_port.ts";
import { settlesWithin } from "../settles_within.ts";
import type { WorkerLink } from "./worker_link.ts";

type Links = ReadonlyMap<number, Pick<WorkerLink, "order">>;
type Asked = Parameters<WorkerLink["order"]>[0];

/** How long workers may take for work that they have begun. */
const ANSWER_MS = 5000;

/** How long they may take to offer their sockets. Until they have, none of them accepts clients. */
const OFFER_MS = 2000;

/**
 * A descriptor of each worker's socket, which the caller owns. `undefined`: too few are left in the process.
 *
 * @param links by the number of the worker
 * @throws when a worker hangs. What it offers later is closed
 */
export async function offersOf(links: Links): Promise<readonly number[] | undefined> {
  await answersOf(links, { type: "sync" }, ANSWER_MS); // has no effect, so that clients do not wait for a worker that hangs
  const given: number[] = [];
  let isLate = false;
  const take = async (descriptor: number | undefined) => {
    if (descriptor === undefined) return;
    if (isLate) await closeDescriptors([descriptor]);
    else given.push(descriptor);
  };
  try {
    await answersOf(links, { type: "offer" }, OFFER_MS, take);
  } catch (error) {
    isLate = true;
    await closeDescriptors(given);
    throw error;
  }
  if (given.length === links.size) return given;
  await closeDescriptors(given);
  return undefined;
}

/** Makes workers accept clients again. One that hangs does so later. */
export async function resume(links: Links): Promise<void> {
  await settlesWithin(Promise.all(Array.from(links.values(), (link) => link.order({ type: "resume" }))), OFFER_MS);
}

async function answersOf(
  links: Links,
  order: Asked,
  limitMs: number,
  take: (descriptor: number | undefined) => Promise<void> = async () => {},
): Promise<void> {
  const awaited = new Set(links.keys());
  const answers = Array.from(links, async ([isolate, link]) => {
    const done = await link.order(order);
    awaited.delete(isolate);
    await take(done?.descriptor);
  });
  if (!await settlesWithin(Promise.all(answers), limitMs)) {
    throw new Error(`no answer of worker ${[...awaited].join(", ")} in ${limitMs / 1000} s`);
  }
}
