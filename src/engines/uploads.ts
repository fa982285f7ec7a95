/** Waits for request bodies, which an engine does first when it stops. */

/** How often to check whether the last request body has arrived. */
const POLL_MS = 10;

/**
 * Settles when no request body is arriving any more. Polls, because a signal would cost time in each request, for a
 * single stop.
 */
export async function uploadsEnd(context: { readonly uploads: number }): Promise<void> {
  while (context.uploads > 0) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}
