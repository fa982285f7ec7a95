/** The result of a reload. */

import type * as z from "zod";
import type { DeepReadonly } from "../config/fields.ts";
import type { reloadAnswer } from "./answers.ts";

/** The result of a reload, as `POST /reload` returns it. */
export type ReloadReport = DeepReadonly<z.output<typeof reloadAnswer>>;
