/** What all kinds of `discover` have in common. Each kind has a file beside this one. */
import type * as z from "zod";
import { duration } from "../fields.ts";
import { setting } from "../setting.ts";

/** The settings of every kind, by their names in the code. */
export interface DiscoverCommon {
  /** How long an empty answer must last before it removes the last backends. */
  readonly keepForMs: number;
  /** How long backends that have gone may drain. */
  readonly drainMs: number;
}

/** The keys of every kind. */
export const commonKeys = () => ({
  keepFor: setting(duration(0), "30s", "How long the answer must be empty before the last backends are removed.", {
    more: "A failure is no answer, and removes nothing.",
  }),
  drain: setting(duration(0), "30s", "How long a backend that has gone drains before its connections are closed."),
});

/** One kind of source. */
export interface DiscoverKind<Form extends z.ZodType = z.ZodType> {
  /** The key that its object form has, and no other. Its text begins with it and a colon. */
  readonly name: string;
  /** What its text looks like, for error lines: `file:PATH`. */
  readonly words: string;
  /** What its text may begin with, each with a colon. Default: its name. */
  readonly prefixes?: readonly string[];
  /** Its object form. Reads as an object with `kind`; `z.custom` tells it from those of the other kinds. */
  readonly form: Form;
  /** The object form of a text. `rest` is what stands after the first colon of `text`. */
  readonly fromText: (rest: string, text: string) => unknown;
  /** The shortest text that tells people what is meant. No secrets. */
  readonly describe: (discover: z.output<Form>) => string;
}
