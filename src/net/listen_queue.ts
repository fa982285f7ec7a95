/** The kernel's accept queue: connections that are made but not accepted yet. */

/**
 * How many connections may wait in it. Clients connect in bursts. The runtime's own 511 overflowed when 2,000 connected
 * at once, and a client whose handshake is dropped tries again only after a second. The limit of the system
 * (`net.core.somaxconn` on Linux, 4096 too) applies as well.
 */
export const LISTEN_QUEUE = 4096;
