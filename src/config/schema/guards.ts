/** The guards: who may come. They stand at the top level for all requests, and in an entry of a route for its own. */
import * as z from "zod";
import { addressRange } from "../fields.ts";
import { override, setting } from "../setting.ts";

const ranges = z.array(addressRange, "a list of addresses and CIDR ranges").nullable();

/** For all requests. */
export const guards = {
  deny: setting(ranges, null, "Addresses and CIDR ranges of clients that get 403. `null`: none."),
  allow: setting(ranges, null, "Addresses and CIDR ranges of the only clients that do not get 403. `null`: all."),
};

/** In place of these, for the requests of an entry. Left out: what holds for all requests, and shares its count. */
export const guardsOfRoute = {
  deny: override(guards.deny),
  allow: override(guards.allow),
};
