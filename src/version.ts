/** The version, from the one place it is written. */

import deno from "../deno.json" with { type: "json" };

/** As in `deno.json`. */
export const VERSION: string = deno.version;
