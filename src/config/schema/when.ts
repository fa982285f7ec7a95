/** `when`: what a request has to be for an entry of a route. */
import * as z from "zod";
import { addressRange, cookieName, probeMethod, text, token } from "../fields.ts";
import { bareSetting } from "../setting.ts";

/** What a value has to be: this text, a text that begins so (`abc*`), anything (`*`); `null`: it is not there. */
type ValueRule = string | null;

/** What a request has to be for an entry. All that are given have to hold. */
export interface When {
  readonly method?: readonly string[];
  readonly header?: Readonly<Record<string, ValueRule>>;
  readonly cookie?: Readonly<Record<string, ValueRule>>;
  readonly query?: Readonly<Record<string, ValueRule>>;
  /** Addresses and CIDR ranges. */
  readonly client?: readonly string[];
}

const rule = z.string(`text, such as "abc", "abc*" or "*", or null`).nullable();

/** Names of headers are equal in any case, so two of them could contradict each other. */
const headerRules = z.record(token, rule).refine(
  (rules) => new Set(Object.keys(rules).map((name) => name.toLowerCase())).size === Object.keys(rules).length,
  "each header once, whatever its case",
);

const methods = z.array(probeMethod).min(1, "at least one method");

/** What the file says of it. */
export const when = z.strictObject({
  method: bareSetting(
    z.codec(z.union([probeMethod, methods], "a method, or a list of methods"), z.custom<string[]>(), {
      decode: (written) => typeof written === "string" ? [written] : written,
      encode: (list) => list,
    }).optional(),
    "A method or several, in capitals.",
  ),
  header: bareSetting(
    headerRules.optional(),
    'What headers have to be, by name: a text, `"abc*"` for one that begins so, `"*"` for any, `null` for none.',
    { secret: "by-name" },
  ),
  cookie: bareSetting(z.record(cookieName, rule).optional(), "What cookies have to be, by name.", {
    secret: "by-name",
  }),
  query: bareSetting(
    z.record(text(/[^]/, "a name that is not empty"), rule).optional(),
    "What parameters of the query have to be, by name.",
    { secret: "by-name" },
  ),
  client: bareSetting(
    z.array(addressRange).min(1, "at least one address or range").optional(),
    "Addresses and CIDR ranges, one of which has to hold the client's address.",
  ),
});

/** Nothing that is asked of a request is the same as no `when`. */
export function isEmpty(when: object): boolean {
  return Object.values(when).every((part) => part === undefined || Object.keys(part).length === 0);
}
