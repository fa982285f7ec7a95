/** `deny` and `allow`: which clients may come, by their addresses. */

import { denied } from "../failures.ts";
import { AddressRanges } from "../net/address_ranges.ts";
import type { Guard, GuardedRequest, GuardVerdict } from "./guard.ts";

/** Refuses clients whose addresses are in one of the ranges. */
export function deny(ranges: readonly string[]): Guard {
  return new AddressGuard("deny", new AddressRanges(ranges));
}

/** Refuses clients whose addresses are in none of the ranges. */
export function allow(ranges: readonly string[]): Guard {
  return new AddressGuard("allow", new AddressRanges(ranges));
}

class AddressGuard implements Guard {
  readonly #ranges: AddressRanges;
  readonly #name: "allow" | "deny";
  readonly #letsIn: boolean;

  constructor(name: "allow" | "deny", ranges: AddressRanges) {
    this.#ranges = ranges;
    this.#name = name;
    this.#letsIn = name === "allow";
  }

  check({ client }: GuardedRequest) {
    return this.#ranges.has(client) === this.#letsIn ? undefined : denied(this.#name);
  }

  explain(request: GuardedRequest): GuardVerdict {
    const refusal = this.check(request);
    const isIn = (refusal === undefined) === this.#letsIn;
    return { refusal, reason: `${request.client} is in ${isIn ? "one" : "none"} of its ranges` };
  }
}
