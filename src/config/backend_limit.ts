/** How many backends there may be. The configuration goes by this limit, and so do the tables in shared memory. */

/** The most backends in all pools together. */
export const MAX_BACKENDS = 4096;
