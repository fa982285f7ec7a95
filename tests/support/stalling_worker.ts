/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** A worker that requests for `/stall` hold. */

import "../../src/workers/worker.ts";
import { stallOnRequest } from "./stalls.ts";

stallOnRequest();
