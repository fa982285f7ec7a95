/** Process: clients that behave well or badly at random. They check that each answer belongs to their request. */

import { Actor, Tally } from "../../tests/support/raw_actor.ts";
import { help } from "./helper_process.ts";
import { seeded } from "./random.ts";

export interface MixedOrder {
  readonly port: number;
  readonly seed: number;
  readonly uploadsMayHang: boolean;
}

export interface MixedReport {
  readonly actions: number;
  readonly summary: string;
  readonly wrongs: readonly string[];
}

const ACTORS = 24;

await help(({ port, seed, uploadsMayHang }: MixedOrder) => {
  const tally = new Tally();
  const stop = new AbortController();
  const shared = { port, random: seeded(seed), tally, uploadsMayHang };
  const actors = Array.from(
    { length: ACTORS },
    (_, index) => new Actor({ name: `a${index}`, ...shared }).run(stop.signal),
  );
  return {
    begun: null,
    finish: async (): Promise<MixedReport> => {
      stop.abort();
      await Promise.all(actors);
      return { actions: tally.actions, summary: tally.summary, wrongs: tally.wrongs };
    },
  };
});
