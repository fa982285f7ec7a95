/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** A worker whose event loop is blocked by requests for `/stall`. */

import "../../src/workers/worker.ts";
import { stallOnRequest } from "./stalls.ts";

stallOnRequest();
