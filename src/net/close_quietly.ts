/** Closes connections and listeners that may be closed already. */

/** Closes a connection or listener; does nothing when it is closed. */
export function closeQuietly(resource: { close(): void }): void {
  try {
    resource.close();
  } catch {
    // it is closed already
  }
}
