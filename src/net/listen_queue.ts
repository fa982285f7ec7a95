/** The queue of connections that the kernel has made and we have not taken yet. */

/**
 * How many may wait in it. Clients come in bursts: the runtime's own 511 overflowed when 2,000 connected at once, and a
 * client whose handshake the kernel drops tries again only after a second. The system's own limit (`net.core.somaxconn`
 * on Linux, 4096 there too) caps it.
 */
export const LISTEN_QUEUE = 4096;
