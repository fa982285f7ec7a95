/** The URL of the worker's module. A built file replaces this module by its own: see `scripts/compile/`. */

/** For `Roundhouse.start`. */
export const WORKER_URL: URL = new URL("./worker.ts", import.meta.url);
