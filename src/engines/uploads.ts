/** What a stopping engine waits for first. */

/** How often it is looked whether the last request body has arrived. */
const POLL_MS = 10;

/** Settles once no request body is arriving any more. Polls: a signal would cost each request, for one stop. */
export async function uploadsEnd(context: { readonly uploads: number }): Promise<void> {
  while (context.uploads > 0) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}
