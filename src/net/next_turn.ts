/** Gives the event loop a turn: others that are ready are served meanwhile. It takes a millisecond or two. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
