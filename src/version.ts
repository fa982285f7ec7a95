/** The version, from the one place it is written. `scripts/compile.ts` puts another module in the place of this one. */

import deno from "../deno.json" with { type: "json" };

/** As in `deno.json`. */
export const VERSION: string = deno.version;

/** Of a built file: the commit, if it was known, and the form. From source: empty. */
export const BUILD: string = "";
