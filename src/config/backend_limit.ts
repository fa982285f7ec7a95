/** How many backends there may be: a limit of the configuration, and the measure of the tables in shared memory. */

/** The most backends in all pools together. */
export const MAX_BACKENDS = 4096;
