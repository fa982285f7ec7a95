/** The URL of the module that checks bcrypt hashes. A built file replaces this module by its own: see `scripts/compile/`. */

export const BCRYPT_WORKER_URL: URL = new URL("./bcrypt_worker.ts", import.meta.url);
