/** The guards that requests have to pass, in their order. */

import type { Config } from "../config/schema.ts";
import { GUARD_NAMES, type GuardName } from "../errors.ts";
import { LooseNames } from "../http1/loose_name.ts";
import { allow, deny } from "./addresses.ts";
import { auth } from "./auth.ts";
import { concurrency } from "./concurrency.ts";
import type { Decision, Guard, GuardedRequest, GuardMeans, GuardPlace, GuardVerdict, PassingRequest } from "./guard.ts";
import { rateLimit } from "./rate_limit.ts";

/** How guards are configured. `null`: there is none. */
export type GuardSettings = Pick<Config, GuardName>;

/** How an entry of a route changes that for itself. `undefined`: what holds for all requests, with the same counts. */
export type GuardOverrides = { readonly [Name in GuardName]?: GuardSettings[Name] | undefined };

/** What each guard is made by. */
const FACTORIES: {
  readonly [Name in GuardName]: (setting: NonNullable<GuardSettings[Name]>, place: GuardPlace) => Guard;
} = {
  deny,
  allow,
  rateLimit,
  concurrency,
  auth,
};

/** The name of the place of what counts all requests together. The names of entries have a slash in them. */
export const ALL_REQUESTS = "all";

type Named = readonly [name: GuardName, guard: Guard];

/** One set for all requests, and one for each entry with guards of its own. */
export class Guards {
  readonly #named: readonly Named[];
  readonly #guards: readonly Guard[];
  /** Headers that never reach a backend if the client sent them; `undefined`: there are none. */
  readonly owned: LooseNames | undefined;

  /** The guards for all requests; `undefined`: there are none. */
  static forAll(settings: GuardSettings, means: GuardMeans): Guards | undefined {
    const place = { ...means, name: ALL_REQUESTS };
    return Guards.#of(GUARD_NAMES.flatMap((name) => made(name, settings, place)));
  }

  /** The guards for the requests of an entry. */
  static forEntry(all: Guards | undefined, own: GuardOverrides, place: GuardPlace): Guards | undefined {
    if (GUARD_NAMES.every((name) => own[name] === undefined)) return all;
    const inherited = all === undefined ? [] : all.#named;
    return Guards.#of(GUARD_NAMES.flatMap((name) => {
      return own[name] === undefined ? inherited.filter((one) => one[0] === name) : made(name, own, place);
    }));
  }

  static #of(named: readonly Named[]): Guards | undefined {
    return named.length === 0 ? undefined : new Guards(named);
  }

  /** @param named in the order in which they are asked */
  constructor(named: readonly Named[]) {
    this.#named = named;
    this.#guards = named.map(([, guard]) => guard);
    const owned = this.#guards.flatMap((guard) => [...guard.owned ?? []]);
    this.owned = owned.length === 0 ? undefined : new LooseNames(owned);
  }

  /**
   * Asks one guard after the other. Returns why the first of them refuses the request; `undefined`: it may go on. It is
   * a promise only if a guard can't decide at once.
   */
  check(request: PassingRequest): Decision | Promise<Decision> {
    return this.#checkFrom(0, request);
  }

  #checkFrom(first: number, request: PassingRequest): Decision | Promise<Decision> {
    const guards = this.#guards;
    for (let index = first; index < guards.length; index++) {
      const decision = guards[index]?.check(request);
      if (decision === undefined) continue;
      if (!(decision instanceof Promise)) return decision;
      return decision.then((refusal) => refusal ?? this.#checkFrom(index + 1, request));
    }
    return undefined;
  }

  /** Tells what each guard would do, and spends nothing. */
  explain(request: GuardedRequest): (readonly [GuardName, GuardVerdict])[] {
    return this.#named.map(([name, guard]) => [name, guard.explain(request)]);
  }
}

function made<Name extends GuardName>(name: Name, settings: GuardOverrides, place: GuardPlace): Named[] {
  const setting = settings[name] ?? null;
  return setting === null ? [] : [[name, FACTORIES[name](setting, place)]];
}
