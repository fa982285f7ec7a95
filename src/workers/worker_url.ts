/** Where the worker's module is. A built file puts a module of its own in this one's place: see `scripts/compile/`. */

/** For `Roundhouse.start`. */
export const WORKER_URL: URL = new URL("./worker.ts", import.meta.url);
